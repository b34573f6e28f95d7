output "backend" {
  description = "Text of backend.hcl, by which the other roots find their state."
  value       = <<-EOT
    bucket     = "${aws_s3_bucket.state.bucket}"
    region     = "${var.region}"
    kms_key_id = "${module.key.arn}"
  EOT
}

output "ci_role_arn" {
  description = "ARN of the role that CI takes; null where there is none."
  value       = one([for role in aws_iam_role.ci : role.arn])
}
