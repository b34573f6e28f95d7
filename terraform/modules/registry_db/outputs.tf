output "endpoint" {
  description = "How the registry is reached: host, port and database."
  value = {
    host     = aws_db_instance.this.address
    port     = aws_db_instance.this.port
    database = aws_db_instance.this.db_name
  }
}

output "resource_id" {
  description = "Id of the database in the ARNs of those who connect by IAM."
  value       = aws_db_instance.this.resource_id
}

output "owner_secret_arn" {
  description = "ARN of the secret with the owner's name and password."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}

output "security_group_id" {
  description = "Id of its security group, for rules of further clients."
  value       = aws_security_group.this.id
}
