module "pools" {
  source   = "../modules/compute_pool"
  for_each = var.pools

  name                 = var.name
  pool                 = each.key
  tags                 = var.tags
  kms_key_arn          = var.data.kms_key_arn
  image_id             = var.images.node
  instance_profile_arn = module.compute_role.profile_arn
  security_group_ids   = [module.security_groups.compute_id]
  disk_gib             = each.value.disk_gib
  user_data            = local.node_script
}

module "slurm_config" {
  source = "../modules/slurm_config"

  name             = var.name
  tags             = var.tags
  region           = local.region
  network          = { vpc_id = var.data.network.vpc_id, subnets = var.data.network.subnets }
  pools            = var.pools
  launch_templates = { for name, pool in module.pools : name => pool.launch_template }
  max_hourly_usd   = var.max_hourly_usd
  head             = { hostname = "head", address = module.head_node.address, auth = var.head.auth }
}

# The head node looks here for what has changed: a new pool needs no new machine.
resource "aws_s3_object" "config" {
  for_each = {
    "pools.json"  = module.slurm_config.pools_json
    "slurm.conf"  = module.slurm_config.slurm_conf
    "cgroup.conf" = module.slurm_config.cgroup_conf
    "site.json"   = jsonencode(local.site)
  }

  bucket     = var.data.buckets["config"].name
  key        = "clusters/${var.name}/${each.key}"
  content    = each.value
  kms_key_id = var.data.kms_key_arn
}
