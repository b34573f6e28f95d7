output "name" {
  description = "Name of the cluster whose nodes are ended when this is destroyed."
  value       = terraform_data.nodes.output.name
}
