output "pools_json" {
  description = "Text of pools.json, which lsstpipe cluster reads."
  value       = jsonencode(local.cluster)
}

output "slurm_conf" {
  description = "Text of slurm.conf; it includes pools.conf, which lsstpipe writes from pools.json."
  value       = local.slurm_conf
}

output "cgroup_conf" {
  description = "Text of cgroup.conf."
  value       = file("${path.module}/cgroup.conf")
}

output "max_nodes" {
  description = "How many nodes all pools have together at most."
  value       = sum([for pool in values(var.pools) : pool.max_nodes])
}
