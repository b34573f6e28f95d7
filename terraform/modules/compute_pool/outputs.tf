output "launch_template" {
  description = "The launch template: its id and the number of its version, never $Latest, so that a plan shows when nodes change."
  value       = { id = aws_launch_template.this.id, version = tostring(aws_launch_template.this.latest_version) }
}
