module "node_policies" {
  source = "../modules/node_policies"

  name             = var.name
  account          = { partition = var.data.account.partition, id = var.data.account.id, region = local.region }
  kms_key_arn      = var.data.kms_key_arn
  bucket_arns      = { for kind in ["raw", "products", "config"] : kind => var.data.buckets[kind].arn }
  registry         = { resource_id = var.data.registry.resource_id }
  log_group_arns   = module.observability.log_group_arns
  budget_queue_arn = module.budget.queue_arn
  launch = {
    launch_template_ids = [for pool in module.pools : pool.launch_template.id]
    image_ids           = [var.images.node]
    subnet_ids          = values(var.data.network.subnets)
    security_group_ids  = [module.security_groups.compute_id]
    role_arn            = module.compute_role.role_arn
  }
}

module "head_role" {
  source = "../modules/instance_role"

  name                     = "${var.name}-head"
  trust_json               = module.node_policies.trust_json
  policy_json              = module.node_policies.head_json
  permissions_boundary_arn = var.permissions_boundary_arn
}

module "compute_role" {
  source = "../modules/instance_role"

  name                     = "${var.name}-compute"
  trust_json               = module.node_policies.trust_json
  policy_json              = module.node_policies.compute_json
  permissions_boundary_arn = var.permissions_boundary_arn
}
