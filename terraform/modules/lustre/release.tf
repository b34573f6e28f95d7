data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  release = var.release_days == null ? toset([]) : toset(["daily"])
}

# Once a day, what was not used for some days and is in S3 makes room; it comes back when it is read.
resource "aws_scheduler_schedule" "release" {
  for_each = local.release

  name                = "${var.name}-release"
  description         = "Make room on Lustre"
  schedule_expression = "cron(0 17 * * ? *)"
  kms_key_arn         = var.kms_key_arn

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "arn:${data.aws_partition.current.partition}:scheduler:::aws-sdk:fsx:createDataRepositoryTask"
    role_arn = aws_iam_role.release[each.key].arn
    input = jsonencode({
      Type         = "RELEASE_DATA_FROM_FILESYSTEM"
      FileSystemId = aws_fsx_lustre_file_system.this.id
      Report       = { Enabled = false }
      ReleaseConfiguration = {
        DurationSinceLastAccess = { Unit = "DAYS", Value = var.release_days }
      }
    })
  }
}

resource "aws_iam_role" "release" {
  for_each = local.release

  name_prefix = "${var.name}-rel-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Scheduler"
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "release" {
  for_each = local.release

  name = "release"
  role = aws_iam_role.release[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Release"
        Effect   = "Allow"
        Action   = "fsx:CreateDataRepositoryTask"
        Resource = [aws_fsx_lustre_file_system.this.arn, replace(aws_fsx_lustre_file_system.this.arn, "/:file-system.*$/", ":task/*")]
      },
      {
        Sid      = "ReadSchedule"
        Effect   = "Allow"
        Action   = "kms:Decrypt"
        Resource = var.kms_key_arn
      },
    ]
  })
}
