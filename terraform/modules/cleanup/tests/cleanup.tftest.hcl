variables {
  name   = "survey"
  region = "us-east-1"
  before = ["subnet-0a"]
}

run "knows_what_to_end_when_it_is_destroyed" {
  command = plan

  assert {
    condition     = terraform_data.nodes.input.name == "survey" && terraform_data.nodes.input.region == "us-east-1"
    error_message = "Nodes are found by the name of the cluster, in its region."
  }
  assert {
    condition     = startswith(terraform_data.nodes.input.script, "#!/bin/sh\n")
    error_message = "The script goes with it."
  }
  assert {
    condition     = terraform_data.nodes.input.before == tolist(["subnet-0a"])
    error_message = "What nodes use goes after them."
  }
}

run "refuses_a_name_with_capitals" {
  command = plan
  variables { name = "Survey" }
  expect_failures = [var.name]
}

run "refuses_a_zone_for_a_region" {
  command = plan
  variables { region = "us-east-1a" }
  expect_failures = [var.region]
}
