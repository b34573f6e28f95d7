# The cheapest that works: a small head node, no Lustre, one pool of Spot nodes.
name   = "trial"
images = { head = "ami-00000000000000001", node = "ami-00000000000000002" }
pools = {
  spot = {
    instance_types = ["m7a.xlarge", "m7i.xlarge", "m6a.xlarge", "m6i.xlarge"]
    cpus           = 4
    memory_mb      = 15000
    max_nodes      = 20
    max_hourly_usd = 5
  }
}
max_hourly_usd = 5
# A machine with credits: a fifth of its two CPUs all day long; what it takes beyond that costs 0.05 USD a CPU and hour.
head   = { instance_type = "t3a.medium", root_gib = 30, state_gib = 10 }
budget = { monthly_usd = 200, emails = ["ops@example.org"] }
