output "head_json" {
  description = "What the head node may do."
  value       = jsonencode({ Version = "2012-10-17", Statement = concat(local.launching, local.data, local.logs.head, local.head) })
}

output "compute_json" {
  description = "What a node may do: with data, take the key of its cluster, and hear its reaper."
  value       = jsonencode({ Version = "2012-10-17", Statement = concat(local.data, local.logs.compute, local.compute) })
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
