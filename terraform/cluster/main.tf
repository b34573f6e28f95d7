locals {
  region = var.data.region
  # Nodes and Lustre of one zone do not pay for what they tell each other: the head node's zone is the first.
  zone  = coalesce(var.head.zone, sort(keys(var.data.network.subnets))[0])
  place = { subnet_id = var.data.network.subnets[local.zone], zone = local.zone }
}

module "security_groups" {
  source = "../modules/security_groups"

  name          = var.name
  vpc_id        = var.data.network.vpc_id
  vpc_cidr      = var.data.network.cidr
  registry_port = var.data.registry.port
}

resource "aws_vpc_security_group_ingress_rule" "registry" {
  security_group_id            = var.data.registry.security_group_id
  referenced_security_group_id = module.security_groups.head_id
  description                  = "PostgreSQL from the head node of ${var.name}"
  ip_protocol                  = "tcp"
  from_port                    = var.data.registry.port
  to_port                      = var.data.registry.port
}

module "observability" {
  source = "../modules/observability"

  name               = var.name
  kms_key_arn        = var.data.kms_key_arn
  log_retention_days = var.log_retention_days
  emails             = var.budget.emails
  max_hourly_usd     = var.max_hourly_usd
}

module "budget" {
  source = "../modules/budget"

  name        = var.name
  kms_key_arn = var.data.kms_key_arn
  monthly_usd = var.budget.monthly_usd
  emails      = var.budget.emails
}

module "head_node" {
  source = "../modules/head_node"

  name               = var.name
  kms_key_arn        = var.data.kms_key_arn
  image_id           = var.images.head
  instance_type      = var.head.instance_type
  place              = local.place
  security_group_ids = [module.security_groups.head_id]
  instance_profile   = module.head_role.profile_name
  user_data          = local.head_script
  root_gib           = var.head.root_gib
  state_gib          = var.head.state_gib
  alarm_topic_arn    = module.observability.alarm_topic_arn

  # It is destroyed before the nodes are ended, so that it launches no more.
  depends_on = [module.cleanup]
}

module "cleanup" {
  source = "../modules/cleanup"

  name   = var.name
  region = local.region
  before = [module.security_groups.compute_id]
}
