output "queue_url" {
  description = "URL of the queue that holds a message when the budget is spent."
  value       = aws_sqs_queue.spent.url
}

output "queue_arn" {
  description = "ARN of that queue."
  value       = aws_sqs_queue.spent.arn
}
