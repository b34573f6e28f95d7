mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name        = "survey-head"
  trust_json  = "{}"
  policy_json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
}

run "has_one_policy_below_its_path" {
  command = plan

  assert {
    condition     = aws_iam_role.this.path == "/lsstpipe/" && aws_iam_instance_profile.this.path == "/lsstpipe/"
    error_message = "Buckets admit the role by its path."
  }
  assert {
    condition     = aws_iam_role_policy.this.policy == var.policy_json && aws_iam_role.this.assume_role_policy == var.trust_json
    error_message = "The role may do what was said, and is taken by whom was said."
  }
}

run "stays_within_a_boundary" {
  command = plan
  variables { permissions_boundary_arn = "arn:aws:iam::123456789012:policy/limit" }

  assert {
    condition     = aws_iam_role.this.permissions_boundary == "arn:aws:iam::123456789012:policy/limit"
    error_message = "The role never goes beyond the boundary."
  }
}
