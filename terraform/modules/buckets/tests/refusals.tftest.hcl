# Each validation refuses what it is there for; each run changes one thing of what is allowed.
mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name        = "survey"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
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

run "refuses_all_roles_for_the_pipelines" {
  command = plan
  variables { pipeline_role_path = "/" }
  expect_failures = [var.pipeline_role_path]
}

run "refuses_frames_that_move_at_once" {
  command = plan
  variables { raw_days = { infrequent = 10 } }
  expect_failures = [var.raw_days]
}

run "refuses_frames_that_move_twice_in_a_week" {
  command = plan
  variables { raw_days = { infrequent = 60, archive = 67 } }
  expect_failures = [var.raw_days]
}

run "refuses_what_was_deleted_lost_in_a_week" {
  command = plan
  variables { undelete_days = 7 }
  expect_failures = [var.undelete_days]
}

run "refuses_access_logs_kept_for_a_month" {
  command = plan
  variables { access_log_days = 30 }
  expect_failures = [var.access_log_days]
}
