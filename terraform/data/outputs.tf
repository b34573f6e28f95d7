output "data" {
  description = "What a cluster needs to know: terraform output -json data, given to terraform/cluster as its variable data."
  value = {
    name        = var.name
    region      = var.region
    account     = { partition = data.aws_partition.current.partition, id = data.aws_caller_identity.current.account_id }
    kms_key_arn = module.key.arn
    buckets     = { for kind in ["raw", "products", "config"] : kind => { name = module.buckets.names[kind], arn = module.buckets.arns[kind] } }
    network     = local.network
    registry = merge(module.registry.endpoint, {
      resource_id       = module.registry.resource_id
      owner_secret_arn  = module.registry.owner_secret_arn
      security_group_id = module.registry.security_group_id
    })
    persistent_lustre = var.persistent_lustre == null ? null : {
      mounts            = module.lustre[0].mounts
      security_group_id = module.lustre[0].security_group_id
    }
  }
}

output "name" {
  description = "Name of the data."
  value       = var.name
}

output "allow_destroy" {
  description = "Whether the first of the two switches that end data is on."
  value       = var.allow_destroy
}
