# What the workflow needs to know, as config/site.json: the only seam between Terraform and lsstpipe.
locals {
  site = {
    schema_version = 1
    name           = var.name
    region         = local.region
    buckets        = { for kind in ["raw", "products", "config"] : kind => var.data.buckets[kind].name }
    registry = {
      host     = var.data.registry.host
      port     = var.data.registry.port
      database = var.data.registry.database
      user     = "lsstpipe"
      auth     = "iam"
      tls      = "verify-full"
    }
    pools = [for name in sort(keys(var.pools)) : {
      name      = name
      partition = name
      cpus      = var.pools[name].cpus
      memory_mb = var.pools[name].memory_mb
      max_nodes = var.pools[name].max_nodes
      capacity  = var.pools[name].capacity
    }]
    mounts     = local.mounts
    log_groups = module.observability.log_groups
    dashboard  = module.observability.dashboard
  }
}
