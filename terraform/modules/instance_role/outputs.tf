output "role_arn" {
  description = "ARN of the role."
  value       = aws_iam_role.this.arn
}

output "profile_arn" {
  description = "ARN of the instance profile."
  value       = aws_iam_instance_profile.this.arn
}

output "profile_name" {
  description = "Name of the instance profile."
  value       = aws_iam_instance_profile.this.name
}
