mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables { name = "survey" }

run "is_changed_each_year_and_hard_to_lose" {
  command = plan

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30
    error_message = "The key is changed each year and can be brought back for 30 days."
  }
  assert {
    condition     = aws_kms_alias.this.name == "alias/lsstpipe/survey"
    error_message = "The alias says what the key is for."
  }
}

run "lets_only_this_account_use_it" {
  command = plan

  assert {
    condition     = alltrue([for statement in jsondecode(aws_kms_key.this.policy).Statement : try(statement.Principal.AWS == "arn:aws:iam::123456789012:root", false) || try(length(statement.Condition) > 0, false)])
    error_message = "The account itself may do all, a service of AWS only under a condition."
  }
  assert {
    condition     = alltrue([for statement in jsondecode(aws_kms_key.this.policy).Statement : try(statement.Principal.AWS != "*", true) || try(statement.Condition.StringEquals["kms:CallerAccount"] == "123456789012", false)])
    error_message = "Nobody of another account may use the key."
  }
  assert {
    condition     = one([for statement in jsondecode(aws_kms_key.this.policy).Statement : statement.Principal.Service if statement.Sid == "LogGroups"]) == "logs.us-east-1.amazonaws.com"
    error_message = "Log groups of this region are encrypted with it."
  }
}

run "is_for_the_account_alone_where_no_service_needs_it" {
  command = plan
  variables { services_use_it = false }

  assert {
    condition     = [for statement in jsondecode(aws_kms_key.this.policy).Statement : statement.Sid] == ["AccountDecides"]
    error_message = "No service uses a key that it was not given."
  }
}
