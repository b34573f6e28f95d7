# Roles stay within the boundary that the account demands.
name   = "survey"
images = { head = "ami-00000000000000001", node = "ami-00000000000000002" }
pools = {
  spot = {
    instance_types = ["m7a.4xlarge", "m7i.4xlarge"]
    cpus           = 16
    memory_mb      = 61000
    max_nodes      = 50
    max_hourly_usd = 40
  }
}
max_hourly_usd           = 40
budget                   = { monthly_usd = 5000, emails = ["ops@example.org"] }
permissions_boundary_arn = "arn:aws:iam::123456789012:policy/limit"
