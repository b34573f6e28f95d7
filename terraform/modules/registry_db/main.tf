locals {
  identifier = "${var.name}-registry"
  port       = 5432
  tags       = merge(var.tags, { Name = local.identifier })
}

resource "aws_db_subnet_group" "this" {
  name       = local.identifier
  subnet_ids = var.subnet_ids
  tags       = local.tags
}

resource "aws_security_group" "this" {
  name        = local.identifier
  description = "The registry"
  vpc_id      = var.vpc_id
  tags        = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "client" {
  for_each = var.clients

  security_group_id            = aws_security_group.this.id
  description                  = "PostgreSQL from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  tags                         = var.tags
}

resource "aws_db_parameter_group" "this" {
  # A new major version has a group of its own, which must be there before the old one goes.
  name_prefix = "${local.identifier}-"
  family      = "postgres${var.engine_version}"
  tags        = local.tags

  # Connections without TLS are refused.
  parameter {
    name         = "rds.force_ssl"
    value        = "1"
    apply_method = "immediate"
  }

  dynamic "parameter" {
    for_each = local.parameters
    content {
      name         = parameter.key
      value        = parameter.value.value
      apply_method = parameter.value.is_static ? "pending-reboot" : "immediate"
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "this" {
  # RDS would make them by itself, without end and without our key.
  for_each = toset(["postgresql", "upgrade"])

  name              = "/aws/rds/instance/${local.identifier}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_db_instance" "this" {
  #checkov:skip=CKV_AWS_293:It is protected unless the first of the two switches that end data is on
  #checkov:skip=CKV_AWS_133:A validation holds backup_days to 7 to 35
  #checkov:skip=CKV_AWS_157:A second database doubles the price; multi_az says it, and the example complete has it
  #checkov:skip=CKV_AWS_118:RDS writes it into a group of its own, see monitoring.tf; Performance Insights is on
  identifier     = local.identifier
  engine         = "postgres"
  engine_version = var.engine_version
  instance_class = var.instance_class
  db_name        = "registry"
  port           = local.port
  multi_az       = var.multi_az

  storage_type          = "gp3"
  allocated_storage     = var.storage_gib.first
  max_allocated_storage = var.storage_gib.most
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  # No password in the state of Terraform: RDS makes it, keeps it in Secrets Manager and changes it.
  username                            = "registry_owner"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.kms_key_arn
  iam_database_authentication_enabled = true

  db_subnet_group_name   = aws_db_subnet_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  publicly_accessible    = false
  parameter_group_name   = aws_db_parameter_group.this.name
  ca_cert_identifier     = "rds-ca-rsa2048-g1"

  backup_retention_period   = var.backup_days
  backup_window             = "15:00-16:00" # neither the night at the telescope nor that of the campaign
  maintenance_window        = "tue:16:30-tue:17:30"
  copy_tags_to_snapshot     = true
  delete_automated_backups  = false
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = false
  final_snapshot_identifier = "${local.identifier}-last"

  auto_minor_version_upgrade      = true
  enabled_cloudwatch_logs_exports = keys(aws_cloudwatch_log_group.this)
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.kms_key_arn
  monitoring_interval             = var.monitoring_seconds
  monitoring_role_arn             = one(aws_iam_role.monitoring[*].arn)
  tags                            = local.tags

  lifecycle {
    prevent_destroy = true
  }
}
