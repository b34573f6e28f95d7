# Each validation refuses what it is there for; each run changes one thing of what is allowed.
mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name        = "survey"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
  vpc_id      = "vpc-0a"
  subnet_id   = "subnet-0a"
  clients     = { "compute nodes" = "sg-0a" }
  links       = { raw = "s3://survey-raw", products = "s3://survey-products" }
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

run "refuses_a_type_that_takes_no_links" {
  command = plan
  variables { deployment_type = "SCRATCH_1" }
  expect_failures = [var.deployment_type]
}

run "refuses_a_size_between_two" {
  command = plan
  variables { storage_gib = 3600 }
  expect_failures = [var.storage_gib]
}

run "refuses_a_throughput_of_an_older_type" {
  command = plan
  variables { throughput = 200 }
  expect_failures = [var.throughput]
}

run "refuses_a_throughput_of_scratch" {
  command = plan
  variables { throughput = 125 }
  expect_failures = [var.throughput]
}

run "refuses_a_link_that_is_a_bucket" {
  command = plan
  variables { links = { raw = "survey-raw", products = "s3://survey-products" } }
  expect_failures = [var.links]
}

run "refuses_one_place_for_both_links" {
  command = plan
  variables { links = { raw = "s3://survey", products = "s3://survey" } }
  expect_failures = [var.links]
}

run "refuses_files_that_make_room_at_once" {
  command = plan
  variables { release_days = 0 }
  expect_failures = [var.release_days]
}
