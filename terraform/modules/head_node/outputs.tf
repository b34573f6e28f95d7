output "instance_id" {
  description = "Id of the machine, for shells: aws ssm start-session --target ID."
  value       = aws_instance.this.id
}

output "address" {
  description = "Its private address, which stays when the machine is replaced."
  value       = aws_network_interface.this.private_ip
}

output "state_volume_id" {
  description = "Id of the disk with Slurm's state and accounts."
  value       = aws_ebs_volume.state.id
}
