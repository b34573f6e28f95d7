output "names" {
  description = "Name of each bucket by kind: raw, products, config, logs."
  value       = { for kind, bucket in aws_s3_bucket.this : kind => bucket.bucket }
}

output "arns" {
  description = "ARN of each bucket by kind."
  value       = local.arns
}
