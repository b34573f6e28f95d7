output "vpc_id" {
  description = "Id of the network."
  value       = aws_vpc.this.id
}

output "cidr" {
  description = "Addresses of the network."
  value       = aws_vpc.this.cidr_block
}

output "subnets" {
  description = "Id of the private subnet in each availability zone."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
}

output "s3_prefix_list_id" {
  description = "The addresses of S3, for rules of security groups."
  value       = aws_vpc_endpoint.s3.prefix_list_id
}
