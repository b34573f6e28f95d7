output "log_groups" {
  description = "Name of each log group by what it is for: events, slurm, system."
  value       = { for kind, group in aws_cloudwatch_log_group.this : kind => group.name }
}

output "log_group_arns" {
  description = "ARNs of the log groups, for those who write to them."
  value       = [for group in aws_cloudwatch_log_group.this : group.arn]
}

output "alarm_topic_arn" {
  description = "ARN of the topic that alarms go to."
  value       = aws_sns_topic.alarms.arn
}

output "dashboard" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
