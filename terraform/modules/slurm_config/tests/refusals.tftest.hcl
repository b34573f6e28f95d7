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

run "refuses_a_name_that_is_no_name" {
  command = plan
  variables { name = "Survey_1" }
  expect_failures = [var.name]
}

run "refuses_a_name_that_is_too_long" {
  command = plan
  variables { name = "a23456789012345678901234567890123" }
  expect_failures = [var.name]
}

run "refuses_tags_of_the_cluster_itself" {
  command = plan
  variables { tags = { "lsstpipe:cluster" = "other" } }
  expect_failures = [var.tags]
}

run "refuses_tags_of_aws" {
  command = plan
  variables { tags = { "AWS:x" = "y" } }
  expect_failures = [var.tags]
}

run "refuses_a_zone_for_a_region" {
  command = plan
  variables { region = "us-east-1a" }
  expect_failures = [var.region]
}

run "refuses_a_network_without_subnets" {
  command = plan
  variables { network = { vpc_id = "vpc-0a", subnets = {} } }
  expect_failures = [var.network]
}

run "refuses_a_pool_without_a_launch_template" {
  command = plan
  variables { launch_templates = {} }
  expect_failures = [var.launch_templates]
}

run "refuses_the_latest_launch_template" {
  command = plan
  variables { launch_templates = { small = { id = "lt-01", version = "$Latest" } } }
  expect_failures = [var.launch_templates]
}

run "refuses_a_cluster_that_may_cost_nothing" {
  command = plan
  variables { max_hourly_usd = 0 }
  expect_failures = [var.max_hourly_usd]
}

run "refuses_an_unknown_authentication" {
  command = plan
  variables { head = { hostname = "head", auth = "none" } }
  expect_failures = [var.head]
}

run "refuses_a_boot_of_a_second" {
  command = plan
  variables { head = { hostname = "head", boot_timeout_s = 1 } }
  expect_failures = [var.head]
}
