data "aws_caller_identity" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  notices = [
    { percent = 50, type = "ACTUAL" },
    { percent = 80, type = "ACTUAL" },
    { percent = 100, type = "FORECASTED" },
    { percent = 100, type = "ACTUAL" },
  ]
}

# AWS sums up costs some hours late: a second net below the guard of dollars an hour, never the first.
resource "aws_budgets_budget" "this" {
  name         = "${var.name}-month"
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = format("%.2f", var.monthly_usd)
  limit_unit   = "USD"
  tags         = var.tags

  # Costs are found by the tag once it is activated for billing, which is done once an account.
  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:lsstpipe:cluster$%s", var.name)]
  }

  dynamic "notification" {
    for_each = local.notices
    content {
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value.percent
      threshold_type             = "PERCENTAGE"
      notification_type          = notification.value.type
      subscriber_email_addresses = var.emails
      # Only what was really spent stops launches.
      subscriber_sns_topic_arns = notification.value.percent == 100 && notification.value.type == "ACTUAL" ? [aws_sns_topic.spent.arn] : []
    }
  }
}

resource "aws_sns_topic" "spent" {
  name              = "${var.name}-budget-spent"
  kms_master_key_id = var.kms_key_arn
  tags              = var.tags
}

resource "aws_sns_topic_policy" "spent" {
  arn = aws_sns_topic.spent.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Budgets"
      Effect    = "Allow"
      Principal = { Service = "budgets.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.spent.arn
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

# The flag: the head node takes what is here and launches nothing more until somebody allows it again.
resource "aws_sqs_queue" "spent" {
  name                      = "${var.name}-budget-spent"
  kms_master_key_id         = var.kms_key_arn
  message_retention_seconds = 1209600 # the longest that SQS keeps: a head node that is down for a week still learns it
  tags                      = var.tags
}

resource "aws_sqs_queue_policy" "spent" {
  queue_url = aws_sqs_queue.spent.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Topic"
      Effect    = "Allow"
      Principal = { Service = "sns.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.spent.arn
      Condition = { ArnEquals = { "aws:SourceArn" = aws_sns_topic.spent.arn } }
    }]
  })
}

resource "aws_sns_topic_subscription" "spent" {
  topic_arn            = aws_sns_topic.spent.arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.spent.arn
  raw_message_delivery = true
}
