# Everything: three pools, Lustre, a boundary for roles.
name   = "survey"
tags   = { CostCenter = "42", Environment = "production" }
images = { head = "ami-00000000000000001", node = "ami-00000000000000002" }
pools = {
  spot = {
    instance_types = ["m7a.4xlarge", "m7i.4xlarge", "m6a.4xlarge", "m6i.4xlarge"]
    cpus           = 16
    memory_mb      = 61000
    max_nodes      = 300
    max_hourly_usd = 200
  }
  memory = {
    instance_types = ["r7a.4xlarge", "r7i.4xlarge"]
    cpus           = 16
    memory_mb      = 124000
    max_nodes      = 40
    max_hourly_usd = 50
    disk_gib       = 200
  }
  steady = {
    instance_types = ["m7a.4xlarge"]
    cpus           = 16
    memory_mb      = 61000
    max_nodes      = 10
    min_nodes      = 1
    max_hourly_usd = 10
    capacity       = "on-demand"
    fallback       = "none"
    zones          = ["us-east-1a"]
  }
}
max_hourly_usd           = 250
budget                   = { monthly_usd = 60000, emails = ["ops@example.org", "pi@example.org"] }
head                     = { instance_type = "m7a.xlarge", state_gib = 100 }
lustre                   = { storage_gib = 12000, release_days = 7 }
permissions_boundary_arn = "arn:aws:iam::123456789012:policy/limit"
log_retention_days       = 731
