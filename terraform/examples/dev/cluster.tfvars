# For those who develop: Lustre, and two pools that meet their limits soon.
name   = "dev"
tags   = { Environment = "development" }
images = { head = "ami-00000000000000001", node = "ami-00000000000000002" }
pools = {
  spot = {
    instance_types = ["m7a.2xlarge", "m7i.2xlarge", "m6a.2xlarge", "m6i.2xlarge"]
    cpus           = 8
    memory_mb      = 30000
    max_nodes      = 40
    max_hourly_usd = 10
  }
  memory = {
    instance_types = ["r7a.2xlarge", "r7i.2xlarge", "r6i.2xlarge"]
    cpus           = 8
    memory_mb      = 62000
    max_nodes      = 8
    max_hourly_usd = 4
  }
}
max_hourly_usd = 12
budget         = { monthly_usd = 1500, emails = ["ops@example.org"] }
lustre         = { storage_gib = 1200, release_days = 3 }
