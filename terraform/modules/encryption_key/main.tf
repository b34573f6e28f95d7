data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region
  services  = "arn:${local.partition}:iam::${local.account}:role/aws-service-role"
  use       = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]

  # What services of AWS do with the key in their own name.
  for_services = [
    {
      # CloudWatch Logs User Guide, "Encrypt log data using AWS KMS".
      Sid       = "LogGroups"
      Effect    = "Allow"
      Principal = { Service = "logs.${local.region}.amazonaws.com" }
      Action    = local.use
      Resource  = "*"
      Condition = {
        ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:*" }
      }
    },
    {
      # What speaks to topics and queues: alarms, budgets, and topics to queues.
      Sid    = "Notifications"
      Effect = "Allow"
      Principal = {
        Service = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com", "sns.amazonaws.com"]
      }
      Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
      Resource  = "*"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    },
    {
      # FSx makes a role for each file system that it links with a bucket; its name is known only then
      # (Amazon FSx for Lustre User Guide, "Working with server-side encrypted Amazon S3 buckets").
      Sid       = "LustreLinks"
      Effect    = "Allow"
      Principal = { AWS = "*" }
      Action    = local.use
      Resource  = "*"
      Condition = {
        StringEquals = { "kms:CallerAccount" = local.account }
        ArnLike      = { "aws:PrincipalArn" = "${local.services}/s3.data-source.lustre.fsx.amazonaws.com/*" }
      }
    },
    {
      # Spot instances with encrypted disks are started by a role of EC2 (Amazon EC2 User Guide, "Grant access to customer
      # managed keys for use with encrypted AMIs and EBS snapshots"). Named as principal, it would have to be there before.
      Sid       = "SpotDisks"
      Effect    = "Allow"
      Principal = { AWS = "*" }
      Action    = local.use
      Resource  = "*"
      Condition = {
        StringEquals = { "kms:CallerAccount" = local.account }
        ArnEquals    = { "aws:PrincipalArn" = "${local.services}/spot.amazonaws.com/AWSServiceRoleForEC2Spot" }
      }
    },
    {
      Sid       = "SpotGrants"
      Effect    = "Allow"
      Principal = { AWS = "*" }
      Action    = "kms:CreateGrant"
      Resource  = "*"
      Condition = {
        StringEquals = { "kms:CallerAccount" = local.account }
        ArnEquals    = { "aws:PrincipalArn" = "${local.services}/spot.amazonaws.com/AWSServiceRoleForEC2Spot" }
        Bool         = { "kms:GrantIsForAWSResource" = "true" }
      }
    },
  ]
}

resource "aws_kms_key" "this" {
  description             = "lsstpipe ${var.name}: buckets, registry, disks, logs"
  enable_key_rotation     = true
  deletion_window_in_days = var.deletion_window_days
  tags                    = var.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        # Without it nobody could ever change the key again: IAM policies of the account decide.
        Sid       = "AccountDecides"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      }],
      [for statement in local.for_services : statement if var.services_use_it],
    )
  })

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "this" {
  name          = "alias/lsstpipe/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}
