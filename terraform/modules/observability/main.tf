data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

locals {
  namespace = "lsstpipe/${var.name}"
}

# events: what lsstpipe cluster did, one JSON object a line. slurm: its daemons. system: the rest of the machines.
resource "aws_cloudwatch_log_group" "this" {
  for_each = toset(["events", "slurm", "system"])

  name              = "/lsstpipe/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_cloudwatch_log_metric_filter" "count" {
  for_each = local.counted

  name           = "${var.name}-${each.value}"
  log_group_name = aws_cloudwatch_log_group.this["events"].name
  pattern        = "{ $.event = \"${each.value}\" }"

  metric_transformation {
    namespace     = local.namespace
    name          = each.key
    value         = "1"
    default_value = "0"
    unit          = "Count"
  }
}

resource "aws_cloudwatch_log_metric_filter" "value" {
  for_each = local.measured

  name           = "${var.name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.this["events"].name
  pattern        = "{ $.event = \"${each.value.event}\" }"

  metric_transformation {
    namespace = local.namespace
    name      = each.key
    value     = "$.${each.value.field}"
    unit      = each.value.unit
  }
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
  tags              = var.tags
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Alarms"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alarms.arn
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each = toset(var.emails)

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.sentence
  namespace           = local.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = each.value.period_s
  evaluation_periods  = 1
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags
}
