# A file system that outlives clusters: each mounts it in place of one of its own.
module "lustre" {
  source = "../modules/lustre"
  count  = var.persistent_lustre == null ? 0 : 1

  # A cluster that is called as its data may have had one of its own, with the same names.
  name               = "${var.name}-data"
  kms_key_arn        = module.key.arn
  log_retention_days = var.log_retention_days
  vpc_id             = local.network.vpc_id
  # The head node of a cluster is in the first zone, too, unless it is said otherwise.
  subnet_id = local.network.subnets[sort(keys(local.network.subnets))[0]]
  # Clusters come and go: each lets itself in.
  clients         = {}
  deployment_type = "PERSISTENT_2"
  storage_gib     = var.persistent_lustre.storage_gib
  throughput      = var.persistent_lustre.throughput_mbps_per_tib
  release_days    = var.persistent_lustre.release_days
  links = {
    raw      = "s3://${module.buckets.names["raw"]}"
    products = "s3://${module.buckets.names["products"]}"
  }
}
