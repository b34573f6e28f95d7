output "mounts" {
  description = "What nodes mount: source, place and options, as in fstab."
  value = {
    lustre = {
      source  = "${aws_fsx_lustre_file_system.this.dns_name}@tcp:/${aws_fsx_lustre_file_system.this.mount_name}"
      target  = "/lustre"
      type    = "lustre"
      options = "noatime,flock,_netdev,noauto,x-systemd.automount"
    }
  }
}

output "file_system_id" {
  description = "Id of the file system."
  value       = aws_fsx_lustre_file_system.this.id
}

output "security_group_id" {
  description = "Id of its security group."
  value       = aws_security_group.this.id
}
