locals {
  tags          = merge(var.tags, { Name = var.name })
  is_persistent = var.deployment_type == "PERSISTENT_2"
}

resource "aws_fsx_lustre_file_system" "this" {
  deployment_type = var.deployment_type
  # Without it a scratch file system is of version 2.10, which takes no links to S3 (FSx API, FileSystemTypeVersion).
  file_system_type_version    = "2.15"
  storage_type                = "SSD"
  storage_capacity            = var.storage_gib
  per_unit_storage_throughput = var.throughput
  data_compression_type       = "LZ4"
  subnet_ids                  = [var.subnet_id]
  # Another group would be another file system: its rules change, it never does.
  security_group_ids = [aws_security_group.this.id]
  kms_key_id         = local.is_persistent ? var.kms_key_arn : null
  # There are no backups of what is linked with S3: S3 is the copy of record.
  automatic_backup_retention_days = local.is_persistent ? 0 : null
  skip_final_backup               = true
  weekly_maintenance_start_time   = "2:16:30"
  tags                            = local.tags

  log_configuration {
    level       = "WARN_ERROR"
    destination = aws_cloudwatch_log_group.this.arn
  }
}

# Ending or replacing the file system replaces or ends this, which is refused. The rule stands here because it takes no variable:
# a scratch file system goes with its cluster. terraform/destroy-data takes it away.
resource "terraform_data" "kept" {
  for_each = local.is_persistent ? toset(["file system"]) : toset([])

  triggers_replace = aws_fsx_lustre_file_system.this.id

  lifecycle {
    prevent_destroy = true
  }
}

# One direction for each, because FSx promises no order where both sides change a file. What lies elsewhere, such as /scratch,
# is in Lustre alone.
resource "aws_fsx_data_repository_association" "raw" {
  file_system_id                   = aws_fsx_lustre_file_system.this.id
  file_system_path                 = "/raw"
  data_repository_path             = var.links.raw
  batch_import_meta_data_on_create = true
  delete_data_in_filesystem        = false
  tags                             = merge(var.tags, { Name = "${var.name}-raw" })

  s3 {
    auto_import_policy {
      events = ["NEW", "CHANGED", "DELETED"]
    }
  }

  timeouts {
    create = "60m"
    delete = "60m"
  }
}

resource "aws_fsx_data_repository_association" "products" {
  file_system_id            = aws_fsx_lustre_file_system.this.id
  file_system_path          = "/products"
  data_repository_path      = var.links.products
  delete_data_in_filesystem = false
  tags                      = merge(var.tags, { Name = "${var.name}-products" })

  s3 {
    auto_export_policy {
      # Never DELETED: who clears the disk does not clear the archive.
      events = ["NEW", "CHANGED"]
    }
  }

  timeouts {
    create = "60m"
    delete = "60m"
  }

  # FSx makes links of one file system one after the other.
  depends_on = [aws_fsx_data_repository_association.raw]
}

resource "aws_cloudwatch_log_group" "this" {
  # FSx writes only to groups of this prefix.
  name              = "/aws/fsx/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}
