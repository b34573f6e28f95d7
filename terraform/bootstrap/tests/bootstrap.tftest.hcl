mock_provider "aws" {
  source          = "../mocks"
  override_during = plan
}

variables {
  name   = "survey"
  region = "us-east-1"
}

run "keeps_the_state_private_encrypted_and_whole" {
  command = plan

  assert {
    condition     = aws_s3_bucket.state.bucket == "survey-123456789012-state"
    error_message = "The name of the bucket has the account in it: it is the only one in the world."
  }
  assert {
    condition     = one(aws_s3_bucket_versioning.state.versioning_configuration).status == "Enabled"
    error_message = "A state that was spoilt can be brought back."
  }
  assert {
    condition     = aws_s3_bucket_public_access_block.state.block_public_policy && aws_s3_bucket_public_access_block.state.restrict_public_buckets
    error_message = "The state is not public."
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.state.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms"
    error_message = "The state is encrypted with our key."
  }
  assert {
    condition     = [for statement in jsondecode(aws_s3_bucket_policy.state.policy).Statement : "${statement.Effect} ${statement.Sid}"] == ["Deny WithoutTls", "Deny WithOldTls"]
    error_message = "The state is read and written by TLS 1.2 and later."
  }
  assert {
    condition     = length(aws_iam_role.ci) == 0
    error_message = "No CI service reads the state where none was named."
  }
}

run "lets_one_repository_read_the_state" {
  command = plan
  variables { ci = { subjects = ["repo:survey/lsstpipe:ref:refs/heads/main"] } }

  assert {
    condition     = jsondecode(aws_iam_role.ci["ci"].assume_role_policy).Statement[0].Condition.StringLike["token.actions.githubusercontent.com:sub"] == ["repo:survey/lsstpipe:ref:refs/heads/main"]
    error_message = "Only tokens of that repository are taken."
  }
  assert {
    condition     = jsondecode(aws_iam_role.ci["ci"].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    error_message = "Only tokens that were made for AWS are taken."
  }
  assert {
    condition     = length(regexall("Put|Delete", aws_iam_role_policy.ci["ci"].policy)) == 0
    error_message = "CI changes nothing."
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

run "refuses_tokens_of_any_repository" {
  command = plan
  variables { ci = { subjects = ["repo:*"] } }
  expect_failures = [var.ci]
}

run "refuses_tokens_of_nobody" {
  command = plan
  variables { ci = { subjects = [] } }
  expect_failures = [var.ci]
}
