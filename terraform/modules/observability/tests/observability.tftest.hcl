mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name           = "survey"
  kms_key_arn    = "arn:aws:kms:us-east-1:123456789012:key/1"
  emails         = ["ops@example.org"]
  max_hourly_usd = 50
}

run "keeps_logs" {
  command = plan

  assert {
    condition     = toset([for group in aws_cloudwatch_log_group.this : group.name]) == toset(["/lsstpipe/survey/events", "/lsstpipe/survey/slurm", "/lsstpipe/survey/system"])
    error_message = "Events, Slurm and machines have a log group each."
  }
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.this : group.kms_key_id == var.kms_key_arn && group.retention_in_days == 365])
    error_message = "Logs are encrypted and kept for a year."
  }
}

run "measures_from_events" {
  command = plan

  assert {
    condition     = aws_cloudwatch_log_metric_filter.count["BreakersOpened"].pattern == "{ $.event = \"breaker-open\" }"
    error_message = "An event is counted by its name."
  }
  assert {
    condition     = one(aws_cloudwatch_log_metric_filter.value["HourlyUsd"].metric_transformation).value == "$.hourly_usd" && one(aws_cloudwatch_log_metric_filter.value["HourlyUsd"].metric_transformation).namespace == "lsstpipe/survey"
    error_message = "What nodes cost an hour is read from the event."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : contains(concat(keys(aws_cloudwatch_log_metric_filter.count), keys(aws_cloudwatch_log_metric_filter.value)), alarm.metric_name)])
    error_message = "Each alarm looks at a metric that there is."
  }
  assert {
    condition     = alltrue(flatten([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [for metric in widget.properties.metrics : contains(concat(keys(aws_cloudwatch_log_metric_filter.count), keys(aws_cloudwatch_log_metric_filter.value)), metric[1])]]))
    error_message = "Each chart shows a metric that there is."
  }
}

run "tells_people" {
  command = plan

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["reaper-silent"].treat_missing_data == "breaching"
    error_message = "Silence is an alarm."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["dear"].threshold == 45
    error_message = "The alarm comes before launches are refused."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset([aws_sns_topic.alarms.arn]) && length(alarm.alarm_description) > 40])
    error_message = "Each alarm says what is wrong, to people."
  }
  assert {
    condition     = keys(aws_sns_topic_subscription.email) == ["ops@example.org"] && aws_sns_topic.alarms.kms_master_key_id == var.kms_key_arn
    error_message = "Those who were named are told, and the messages are encrypted."
  }
}
