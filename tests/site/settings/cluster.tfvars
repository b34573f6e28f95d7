# One processor a node: two nodes keep the two cores of a small host busy.
name   = "trial"
images = { head = "ami-00000000000000001", node = "ami-00000000000000002" }
pools = {
  spot = {
    instance_types = ["m7a.large"]
    cpus           = 1
    memory_mb      = 7600
    max_nodes      = 2
    max_hourly_usd = 1
  }
}
max_hourly_usd = 1
head           = { instance_type = "t3a.medium", root_gib = 30, state_gib = 10 }
budget         = { monthly_usd = 200, emails = ["ops@example.org"] }
