output "head_json" {
  description = "What the head node may do."
  value       = jsonencode({ Version = "2012-10-17", Statement = concat(local.launching, local.data, local.head) })
}

output "compute_json" {
  description = "What a node may do: with data, and take the key of its cluster."
  value       = jsonencode({ Version = "2012-10-17", Statement = concat(local.data, local.compute) })
}

output "trust_json" {
  description = "Who may take either role: EC2, for instances."
  value = jsonencode({ Version = "2012-10-17", Statement = [{
    Sid       = "Instances"
    Effect    = "Allow"
    Principal = { Service = "ec2.amazonaws.com" }
    Action    = "sts:AssumeRole"
  }] })
}
