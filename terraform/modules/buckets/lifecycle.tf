resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    id     = "remains-of-failed-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  rule {
    id     = "what-was-deleted"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = var.undelete_days
    }
  }

  dynamic "rule" {
    for_each = each.key == "raw" ? ["old-frames"] : []
    content {
      id     = rule.value
      status = "Enabled"
      # Small objects cost more there: these classes count 128 KB at least.
      filter {
        object_size_greater_than = 131072
      }
      transition {
        days          = var.raw_days.infrequent
        storage_class = "STANDARD_IA"
      }
      transition {
        days          = var.raw_days.archive
        storage_class = "GLACIER_IR"
      }
    }
  }

  dynamic "rule" {
    for_each = each.key == "config" ? ["old-signs-of-life"] : []
    content {
      id     = rule.value
      status = "Enabled"
      # The head node overwrites its heartbeat every two minutes. Nothing else there is so small, and the shorter of two
      # times holds (Amazon S3 User Guide, "Examples of S3 Lifecycle configurations": overlapping filters).
      filter {
        and {
          prefix                = "clusters/"
          object_size_less_than = 64
        }
      }
      noncurrent_version_expiration {
        noncurrent_days = 1
      }
    }
  }

  dynamic "rule" {
    for_each = each.key == "logs" ? ["old-access-logs"] : []
    content {
      id     = rule.value
      status = "Enabled"
      filter {}
      expiration {
        days = var.access_log_days
      }
    }
  }

  # Its rules for old versions hold only where there are versions.
  depends_on = [aws_s3_bucket_versioning.this]
}
