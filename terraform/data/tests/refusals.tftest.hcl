# Each validation refuses what it is there for; each run changes one thing of what is allowed.
mock_provider "aws" {
  source          = "../mocks"
  override_during = plan
}

variables {
  name             = "survey"
  region           = "us-east-1"
  existing_network = { vpc_id = "vpc-0a", subnets = { us-east-1a = "subnet-0a", us-east-1b = "subnet-0b" } }
}

run "refuses_a_name_with_capitals" {
  command = plan
  variables {
    name = "Survey"
  }
  expect_failures = [var.name]
}

run "refuses_a_zone_for_a_region" {
  command = plan
  variables {
    region = "us-east-1a"
  }
  expect_failures = [var.region]
}

run "refuses_two_networks" {
  command = plan
  variables {
    network = { cidr = "10.20.0.0/16", zones = ["us-east-1a", "us-east-1b"] }
  }
  expect_failures = [var.network]
}

run "refuses_zones_of_another_region" {
  command = plan
  variables {
    existing_network = null
    network          = { cidr = "10.20.0.0/16", zones = ["us-west-2a", "us-west-2b"] }
  }
  expect_failures = [var.network]
}

run "refuses_a_single_subnet" {
  command = plan
  variables {
    existing_network = { vpc_id = "vpc-0a", subnets = { us-east-1a = "subnet-0a" } }
  }
  expect_failures = [var.existing_network]
}

run "refuses_a_network_that_knows_no_names" {
  command = plan
  override_data {
    target = data.aws_vpc.existing[0]
    values = { cidr_block = "10.0.0.0/16", enable_dns_support = true, enable_dns_hostnames = false }
  }
  expect_failures = [data.aws_vpc.existing]
}

run "refuses_a_persistent_file_system_between_two_sizes" {
  command = plan
  variables {
    persistent_lustre = { storage_gib = 3600, throughput_mbps_per_tib = 125 }
  }
  expect_failures = [var.persistent_lustre]
}

run "refuses_a_throughput_of_an_older_type" {
  command = plan
  variables {
    persistent_lustre = { storage_gib = 1200, throughput_mbps_per_tib = 200 }
  }
  expect_failures = [var.persistent_lustre]
}

run "refuses_files_that_make_room_at_once" {
  command = plan
  variables {
    persistent_lustre = { storage_gib = 1200, throughput_mbps_per_tib = 125, release_days = 0 }
  }
  expect_failures = [var.persistent_lustre]
}

run "refuses_a_name_too_long_for_a_file_system" {
  command = plan
  variables {
    name              = "a-survey-of-27-letters-long"
    persistent_lustre = { storage_gib = 1200, throughput_mbps_per_tib = 125 }
  }
  expect_failures = [var.persistent_lustre]
}
