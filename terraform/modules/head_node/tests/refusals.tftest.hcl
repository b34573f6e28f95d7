# Each validation refuses what it is there for; each run changes one thing of what is allowed.
mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name               = "survey"
  kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/1"
  image_id           = "ami-0a"
  place              = { subnet_id = "subnet-0a", zone = "us-east-1a" }
  security_group_ids = ["sg-0a"]
  instance_profile   = "survey-head"
  user_data          = "#!/bin/sh"
  alarm_topic_arn    = "arn:aws:sns:us-east-1:123456789012:survey-alarms"
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

run "refuses_the_name_of_an_image" {
  command = plan
  variables { image_id = "debian-12" }
  expect_failures = [var.image_id]
}

run "refuses_a_type_without_a_size" {
  command = plan
  variables { instance_type = "m7a" }
  expect_failures = [var.instance_type]
}

run "refuses_no_security_group" {
  command = plan
  variables { security_group_ids = [] }
  expect_failures = [var.security_group_ids]
}

run "refuses_a_long_user_data" {
  command = plan
  variables { user_data = join("", [for i in range(1000) : "01234567890123456789"]) }
  expect_failures = [var.user_data]
}

run "an_image_does_not_fit_on_a_small_disk" {
  command = plan
  variables {
    root_gib = 19
  }
  expect_failures = [var.root_gib]
}

run "refuses_a_small_disk" {
  command = plan
  variables { state_gib = 5 }
  expect_failures = [var.state_gib]
}
