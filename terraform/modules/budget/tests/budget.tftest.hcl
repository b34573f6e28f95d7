mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name        = "survey"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
  monthly_usd = 1500
  emails      = ["ops@example.org"]
}

run "counts_the_cluster_alone" {
  command = plan

  assert {
    condition     = one(aws_budgets_budget.this.cost_filter).values == tolist(["user:lsstpipe:cluster$survey"])
    error_message = "Costs are found by the tag of the cluster."
  }
  assert {
    condition     = aws_budgets_budget.this.limit_amount == "1500.00" && aws_budgets_budget.this.time_unit == "MONTHLY"
    error_message = "The budget is that of a month."
  }
}

run "raises_the_flag_only_when_all_is_spent" {
  command = plan

  assert {
    condition     = [for notice in aws_budgets_budget.this.notification : "${notice.threshold} ${notice.notification_type}" if length(notice.subscriber_sns_topic_arns) > 0] == ["100 ACTUAL"]
    error_message = "Launches stop when the budget is spent, not when it might be."
  }
  assert {
    condition     = alltrue([for notice in aws_budgets_budget.this.notification : notice.subscriber_email_addresses == toset(["ops@example.org"])]) && length(aws_budgets_budget.this.notification) == 4
    error_message = "People are told four times."
  }
  assert {
    condition     = aws_sqs_queue.spent.message_retention_seconds == 1209600
    error_message = "The flag stays up for as long as SQS allows."
  }
  assert {
    condition     = aws_sns_topic.spent.kms_master_key_id == var.kms_key_arn && aws_sqs_queue.spent.kms_master_key_id == var.kms_key_arn
    error_message = "Topic and queue are encrypted with the key that was given."
  }
  assert {
    condition     = jsondecode(aws_sns_topic_policy.spent.policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "Budgets of this account alone raise the flag."
  }
  assert {
    condition     = jsondecode(aws_sqs_queue_policy.spent.policy).Statement[0].Condition.ArnEquals["aws:SourceArn"] == aws_sns_topic.spent.arn
    error_message = "The queue takes messages of this topic alone."
  }
}
