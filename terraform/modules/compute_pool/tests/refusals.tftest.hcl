# Each validation refuses what it is there for; each run changes one thing of what is allowed.
mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name                 = "survey"
  pool                 = "small"
  kms_key_arn          = "arn:aws:kms:us-east-1:123456789012:key/1"
  image_id             = "ami-0a"
  instance_profile_arn = "arn:aws:iam::123456789012:instance-profile/lsstpipe/survey-compute"
  security_group_ids   = ["sg-0a"]
  user_data            = "#!/bin/sh"
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

run "refuses_a_pool_with_a_hyphen" {
  command = plan
  variables { pool = "a-b" }
  expect_failures = [var.pool]
}

run "refuses_the_name_of_an_image" {
  command = plan
  variables { image_id = "debian-12" }
  expect_failures = [var.image_id]
}

run "refuses_the_name_of_a_profile" {
  command = plan
  variables { instance_profile_arn = "survey-compute" }
  expect_failures = [var.instance_profile_arn]
}

run "refuses_no_security_group" {
  command = plan
  variables { security_group_ids = [] }
  expect_failures = [var.security_group_ids]
}

run "refuses_six_security_groups" {
  command = plan
  variables { security_group_ids = ["sg-1", "sg-2", "sg-3", "sg-4", "sg-5", "sg-6"] }
  expect_failures = [var.security_group_ids]
}

run "refuses_a_disk_too_small_for_the_image" {
  command = plan
  variables { disk_gib = 8 }
  expect_failures = [var.disk_gib]
}

run "refuses_a_long_user_data" {
  command = plan
  variables { user_data = join("", [for i in range(1000) : "01234567890123456789"]) }
  expect_failures = [var.user_data]
}
