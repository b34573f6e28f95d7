# Each validation refuses what it is there for; each run changes one thing of what is allowed.
variables {
  name             = "survey"
  region           = "us-east-1"
  network          = { vpc_id = "vpc-0a", subnets = { us-east-1a = "subnet-0a" } }
  launch_templates = { small = { id = "lt-01", version = "3" } }
  max_hourly_usd   = 50
  head             = { hostname = "head" }
  pools = {
    small = {
      instance_types = ["m7a.xlarge"]
      cpus           = 4
      memory_mb      = 15000
      max_nodes      = 10
      max_hourly_usd = 10
    }
  }
}

run "refuses_no_pools" {
  command = plan
  variables { pools = {} }
  expect_failures = [var.pools]
}

run "refuses_a_pool_with_a_hyphen" {
  command = plan
  variables { pools = { "a-b" = var.pools.small } }
  expect_failures = [var.pools]
}

run "refuses_a_pool_named_as_the_partition_of_all" {
  command = plan
  variables { pools = { all = var.pools.small } }
  expect_failures = [var.pools]
}

run "refuses_a_pool_of_zero" {
  command = plan
  variables { pools = { small = merge(var.pools.small, { max_nodes = 0 }) } }
  expect_failures = [var.pools]
}

run "refuses_half_a_node" {
  command = plan
  variables { pools = { small = merge(var.pools.small, { max_nodes = 1.5 }) } }
  expect_failures = [var.pools]
}

run "refuses_more_nodes_that_stay_than_nodes" {
  command = plan
  variables { pools = { small = merge(var.pools.small, { min_nodes = 11 }) } }
  expect_failures = [var.pools]
}

run "refuses_no_instance_types" {
  command = plan
  variables { pools = { small = merge(var.pools.small, { instance_types = [] }) } }
  expect_failures = [var.pools]
}

run "refuses_an_instance_type_without_a_size" {
  command = plan
  variables { pools = { small = merge(var.pools.small, { instance_types = ["m7a"] }) } }
  expect_failures = [var.pools]
}

run "refuses_an_unknown_market" {
  command = plan
  variables { pools = { small = merge(var.pools.small, { capacity = "cheap" }) } }
  expect_failures = [var.pools]
}

run "refuses_an_unknown_fallback" {
  command = plan
  variables { pools = { small = merge(var.pools.small, { fallback = "spot" }) } }
  expect_failures = [var.pools]
}

run "refuses_the_strategy_that_aws_advises_against" {
  command = plan
  variables { pools = { small = merge(var.pools.small, { spot_strategy = "lowest-price" }) } }
  expect_failures = [var.pools]
}

run "refuses_memory_in_gigabytes" {
  command = plan
  variables { pools = { small = merge(var.pools.small, { memory_mb = 16 }) } }
  expect_failures = [var.pools]
}

run "refuses_a_pool_that_may_cost_nothing" {
  command = plan
  variables { pools = { small = merge(var.pools.small, { max_hourly_usd = 0 }) } }
  expect_failures = [var.pools]
}

run "refuses_a_zone_without_a_subnet" {
  command = plan
  variables { pools = { small = merge(var.pools.small, { zones = ["us-east-1b"] }) } }
  expect_failures = [var.pools]
}
