mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name        = "survey"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
  vpc_id      = "vpc-0a"
  subnet_ids  = ["subnet-0a", "subnet-0b"]
  clients     = { "the head node" = "sg-0a" }
}

run "is_private_encrypted_and_hard_to_lose" {
  command = plan

  assert {
    condition     = aws_db_instance.this.publicly_accessible == false
    error_message = "The registry is not public."
  }
  assert {
    condition     = aws_db_instance.this.storage_encrypted && aws_db_instance.this.kms_key_id == var.kms_key_arn
    error_message = "The disk is encrypted with the key that was given."
  }
  assert {
    condition     = aws_db_instance.this.master_user_secret_kms_key_id == var.kms_key_arn && aws_db_instance.this.performance_insights_kms_key_id == var.kms_key_arn
    error_message = "The password and the statistics are encrypted with it, too."
  }
  assert {
    condition     = aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot && aws_db_instance.this.final_snapshot_identifier == "survey-registry-last"
    error_message = "The database is not ended by mistake, and leaves a snapshot."
  }
  assert {
    condition     = aws_db_instance.this.backup_retention_period == 14 && !aws_db_instance.this.delete_automated_backups
    error_message = "Backups go back for two weeks and outlive the database."
  }
}

run "takes_connections_with_tls_of_known_clients" {
  command = plan

  assert {
    condition     = one([for parameter in aws_db_parameter_group.this.parameter : parameter.value if parameter.name == "rds.force_ssl"]) == "1"
    error_message = "Connections without TLS are refused."
  }
  assert {
    condition     = aws_db_instance.this.iam_database_authentication_enabled && aws_db_instance.this.manage_master_user_password && aws_db_instance.this.password == null
    error_message = "There is no password in the state."
  }
  assert {
    condition     = { for key, rule in aws_vpc_security_group_ingress_rule.client : key => rule.referenced_security_group_id } == { "the head node" = "sg-0a" }
    error_message = "Only the clients that were named may connect."
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.client : rule.from_port == 5432 && rule.to_port == 5432 && rule.cidr_ipv4 == null])
    error_message = "They connect to PostgreSQL alone."
  }
}

run "keeps_its_logs" {
  command = plan

  assert {
    condition     = toset([for group in aws_cloudwatch_log_group.this : group.name]) == toset(["/aws/rds/instance/survey-registry/postgresql", "/aws/rds/instance/survey-registry/upgrade"])
    error_message = "The groups are those into which RDS writes."
  }
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.this : group.kms_key_id == var.kms_key_arn && group.retention_in_days == 365])
    error_message = "Logs are encrypted and kept for a year."
  }
  assert {
    condition     = toset(aws_db_instance.this.enabled_cloudwatch_logs_exports) == toset(["postgresql", "upgrade"])
    error_message = "RDS writes both."
  }
}

run "writes_no_log_that_has_not_its_key_unless_it_is_told_to" {
  command = plan

  assert {
    condition     = aws_db_instance.this.monitoring_interval == 0 && length(aws_iam_role.monitoring) == 0 && length(aws_iam_role_policy_attachment.monitoring) == 0
    error_message = "The group RDSOSMetrics would be RDS's own."
  }
  assert {
    condition     = aws_db_instance.this.performance_insights_enabled
    error_message = "Performance Insights stays."
  }
}

run "writes_the_load_of_its_machine_where_it_is_told_to" {
  command = plan
  variables { monitoring_seconds = 60 }

  assert {
    condition     = aws_db_instance.this.monitoring_interval == 60 && aws_db_instance.this.monitoring_role_arn == aws_iam_role.monitoring[0].arn
    error_message = "RDS writes with the role that is made for it."
  }
  assert {
    condition     = one(jsondecode(aws_iam_role.monitoring[0].assume_role_policy).Statement).Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "RDS takes the role for this account alone."
  }
}

run "follows_the_major_version" {
  command = plan
  variables { engine_version = "16" }

  assert {
    condition     = aws_db_parameter_group.this.family == "postgres16" && aws_db_instance.this.engine_version == "16"
    error_message = "Settings and database are of one version."
  }
}
