# Each validation refuses what it is there for; each run changes one thing of what is allowed.
mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name        = "survey-head"
  trust_json  = "{}"
  policy_json = "{}"
}

run "refuses_a_name_with_capitals" {
  command = plan
  variables { name = "Survey" }
  expect_failures = [var.name]
}

run "refuses_a_path_of_all_roles" {
  command = plan
  variables { path = "/" }
  expect_failures = [var.path]
}

run "refuses_a_long_policy" {
  command = plan
  variables { policy_json = join("", [for i in range(600) : "01234567890123456789"]) }
  expect_failures = [var.policy_json]
}

run "refuses_the_name_of_a_boundary" {
  command = plan
  variables { permissions_boundary_arn = "limit" }
  expect_failures = [var.permissions_boundary_arn]
}
