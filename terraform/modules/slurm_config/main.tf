locals {
  # One order for all: what was rendered last time is rendered the same way again.
  pool_names = sort(keys(var.pools))

  pools = [for name in local.pool_names : {
    name                    = name
    instance_types          = var.pools[name].instance_types
    cpus                    = var.pools[name].cpus
    memory_mb               = var.pools[name].memory_mb
    max_nodes               = var.pools[name].max_nodes
    min_nodes               = var.pools[name].min_nodes
    max_hourly_usd          = var.pools[name].max_hourly_usd
    capacity                = var.pools[name].capacity
    fallback                = var.pools[name].fallback
    spot_strategy           = var.pools[name].spot_strategy
    launch_template_id      = var.launch_templates[name].id
    launch_template_version = var.launch_templates[name].version
    subnet_ids = [
      for zone in(length(var.pools[name].zones) > 0 ? var.pools[name].zones : sort(keys(var.network.subnets))) :
      var.network.subnets[zone]
    ]
  }]

  cluster = {
    schema_version = 1
    name           = var.name
    region         = var.region
    vpc_id         = var.network.vpc_id
    subnets        = { for zone, id in var.network.subnets : id => { vpc_id = var.network.vpc_id, zone = zone } }
    pools          = local.pools
    max_hourly_usd = var.max_hourly_usd
    tags           = var.tags
    boot_timeout_s = var.head.boot_timeout_s
  }

  slurm_conf = templatefile("${path.module}/slurm.conf.tftpl", {
    name = var.name
    # With its address no name need be known to any DNS.
    hostname = var.head.address == null ? var.head.hostname : "${var.head.hostname}(${var.head.address})"
    auth     = var.head.auth
    # What fits on the nodes of every pool: a job that says nothing about memory can run anywhere.
    default_memory_mb = min([for pool in values(var.pools) : floor(pool.memory_mb / pool.cpus)]...)
  })
}
