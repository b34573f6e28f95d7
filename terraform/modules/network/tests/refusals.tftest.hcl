# Each validation refuses what it is there for; each run changes one thing of what is allowed.
mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name        = "survey"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
  cidr        = "10.20.0.0/16"
  zones       = ["us-east-1a", "us-east-1b"]
}

run "refuses_a_name_with_capitals" {
  command = plan
  variables { name = "Survey" }
  expect_failures = [var.name]
}

run "refuses_a_key_without_its_arn" {
  command = plan
  variables { kms_key_arn = "alias/lsstpipe" }
  expect_failures = [var.kms_key_arn]
}

run "refuses_logs_kept_for_a_week" {
  command = plan
  variables { log_retention_days = 7 }
  expect_failures = [var.log_retention_days]
}

run "refuses_addresses_that_are_none" {
  command = plan
  variables { cidr = "10.20.0.0" }
  expect_failures = [var.cidr]
}

run "refuses_addresses_that_begin_amid_a_block" {
  command = plan
  variables { cidr = "10.20.1.0/16" }
  expect_failures = [var.cidr]
}

run "refuses_too_few_addresses" {
  command = plan
  variables { cidr = "10.20.0.0/25" }
  expect_failures = [var.cidr]
}

run "refuses_addresses_within_others" {
  command = plan
  variables { reserved_cidrs = ["10.0.0.0/8"] }
  expect_failures = [var.cidr]
}

run "refuses_addresses_around_others" {
  command = plan
  variables { reserved_cidrs = ["192.168.0.0/16", "10.20.30.0/24"] }
  expect_failures = [var.cidr]
}

run "refuses_a_reserved_block_that_is_none" {
  command = plan
  variables { reserved_cidrs = ["ours"] }
  expect_failures = [var.reserved_cidrs]
}

run "refuses_a_single_zone" {
  command = plan
  variables { zones = ["us-east-1a"] }
  expect_failures = [var.zones]
}

run "refuses_a_zone_twice" {
  command = plan
  variables { zones = ["us-east-1a", "us-east-1a"] }
  expect_failures = [var.zones]
}

run "refuses_a_region_for_a_zone" {
  command = plan
  variables { zones = ["us-east-1", "us-east-2"] }
  expect_failures = [var.zones]
}

run "refuses_zones_of_two_regions" {
  command = plan
  variables { zones = ["us-east-1a", "us-east-2a"] }
  expect_failures = [var.zones]
}

run "refuses_two_nat_gateways" {
  command = plan
  variables { nat = "two" }
  expect_failures = [var.nat]
}

run "refuses_no_way_to_aws" {
  command = plan
  variables { endpoints = ["ec2"] }
  expect_failures = [var.endpoints]
}
