data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

module "key" {
  source = "../modules/encryption_key"

  name = var.name
}

module "buckets" {
  source = "../modules/buckets"

  name          = var.name
  kms_key_arn   = module.key.arn
  raw_days      = var.raw_days
  force_destroy = var.allow_destroy
}

module "registry" {
  source = "../modules/registry_db"

  name                = var.name
  kms_key_arn         = module.key.arn
  log_retention_days  = var.log_retention_days
  vpc_id              = local.network.vpc_id
  subnet_ids          = values(local.network.subnets)
  engine_version      = var.registry.engine_version
  instance_class      = var.registry.instance_class
  storage_gib         = var.registry.storage_gib
  multi_az            = var.registry.multi_az
  backup_days         = var.registry.backup_days
  monitoring_seconds  = var.registry.monitoring_seconds
  deletion_protection = !var.allow_destroy
}
