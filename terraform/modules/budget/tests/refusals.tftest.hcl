# Each validation refuses what it is there for; each run changes one thing of what is allowed.
mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name        = "survey"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
  monthly_usd = 1500
  emails      = ["ops@example.org"]
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

run "refuses_a_budget_of_nothing" {
  command = plan
  variables { monthly_usd = 0 }
  expect_failures = [var.monthly_usd]
}

run "refuses_a_budget_that_nobody_hears_of" {
  command = plan
  variables { emails = [] }
  expect_failures = [var.emails]
}

run "refuses_an_address_that_is_none" {
  command = plan
  variables { emails = ["ops"] }
  expect_failures = [var.emails]
}
