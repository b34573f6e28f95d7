output "site" {
  description = "What the workflow needs to know: terraform output -json site > config/site.json."
  value       = local.site
}

output "head" {
  description = "The head node: id, address, and the command that opens a shell on it."
  value = {
    instance_id = module.head_node.instance_id
    address     = module.head_node.address
    shell       = "aws ssm start-session --region ${local.region} --target ${module.head_node.instance_id}"
  }
}
