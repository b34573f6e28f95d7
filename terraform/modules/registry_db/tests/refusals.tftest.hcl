# Each validation refuses what it is there for; each run changes one thing of what is allowed.
mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name        = "survey"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
  vpc_id      = "vpc-0a"
  subnet_ids  = ["subnet-0a", "subnet-0b"]
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

run "refuses_a_single_subnet" {
  command = plan
  variables { subnet_ids = ["subnet-0a"] }
  expect_failures = [var.subnet_ids]
}

run "refuses_an_old_postgresql" {
  command = plan
  variables { engine_version = "12" }
  expect_failures = [var.engine_version]
}

run "refuses_the_size_of_a_node" {
  command = plan
  variables { instance_class = "m7a.large" }
  expect_failures = [var.instance_class]
}

run "refuses_a_disk_that_cannot_grow" {
  command = plan
  variables { storage_gib = { first = 500, most = 500 } }
  expect_failures = [var.storage_gib]
}

run "refuses_a_small_disk" {
  command = plan
  variables { storage_gib = { first = 10 } }
  expect_failures = [var.storage_gib]
}

run "refuses_load_written_each_two_minutes" {
  command = plan
  variables { monitoring_seconds = 120 }
  expect_failures = [var.monitoring_seconds]
}

run "refuses_no_backups" {
  command = plan
  variables { backup_days = 0 }
  expect_failures = [var.backup_days]
}
