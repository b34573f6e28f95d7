output "head_id" {
  description = "Id of the group of the head node."
  value       = aws_security_group.head.id
}

output "compute_id" {
  description = "Id of the group of nodes."
  value       = aws_security_group.compute.id
}
