# Each validation refuses what it is there for; each run changes one thing of what is allowed.
mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name           = "survey"
  kms_key_arn    = "arn:aws:kms:us-east-1:123456789012:key/1"
  max_hourly_usd = 50
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

run "refuses_an_address_that_is_none" {
  command = plan
  variables { emails = ["ops"] }
  expect_failures = [var.emails]
}

run "refuses_a_cluster_that_may_cost_nothing" {
  command = plan
  variables { max_hourly_usd = 0 }
  expect_failures = [var.max_hourly_usd]
}
