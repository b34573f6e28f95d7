# What a bucket refuses whoever asks, and what AWS itself may write. Who may read is said by roles.
locals {
  pipeline_roles = "arn:${local.partition}:iam::${local.account}:role${var.pipeline_role_path}*"
  # FSx makes a role of its own for each file system; its name is known only then.
  fsx_roles = "arn:${local.partition}:iam::${local.account}:role/aws-service-role/s3.data-source.lustre.fsx.amazonaws.com/*"

  refusals = { for kind, arn in local.arns : kind => [
    {
      Sid       = "WithoutTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [arn, "${arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    },
    {
      Sid       = "WithOldTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [arn, "${arn}/*"]
      Condition = { NumericLessThan = { "s3:TlsVersion" = 1.2 } }
    },
    {
      # Snakemake's S3 plug-in ends buckets that it finds empty.
      Sid       = "EndedByThePipeline"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:DeleteBucket"
      Resource  = [arn]
      Condition = { ArnLike = { "aws:PrincipalArn" = local.pipeline_roles } }
    },
  ] }

  # A request that says nothing about encryption gets the key of the bucket.
  encryption = { for kind in local.data : kind => [
    {
      Sid       = "EncryptedOtherwise"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = ["${local.arns[kind]}/*"]
      Condition = {
        StringNotEquals = { "s3:x-amz-server-side-encryption" = "aws:kms" }
        Null            = { "s3:x-amz-server-side-encryption" = "false" }
      }
    },
    {
      Sid       = "EncryptedWithAnotherKey"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = ["${local.arns[kind]}/*"]
      Condition = {
        ArnNotEquals = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = var.kms_key_arn }
        Null         = { "s3:x-amz-server-side-encryption-aws-kms-key-id" = "false" }
      }
    },
  ] }

  embargo = { products = [{
    Sid       = "Embargo"
    Effect    = "Deny"
    Principal = "*"
    Action    = ["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"]
    Resource  = ["${local.arns.products}/embargo/*"]
    Condition = { ArnNotLike = { "aws:PrincipalArn" = [local.pipeline_roles, local.fsx_roles] } }
  }] }

  access_logs = { logs = [{
    Sid       = "AccessLogs"
    Effect    = "Allow"
    Principal = { Service = "logging.s3.amazonaws.com" }
    Action    = "s3:PutObject"
    Resource  = ["${local.arns.logs}/access/*"]
    Condition = {
      StringEquals = { "aws:SourceAccount" = local.account }
      ArnLike      = { "aws:SourceArn" = [for kind in sort(tolist(local.data)) : local.arns[kind]] }
    }
  }] }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.refusals[each.key],
      try(local.encryption[each.key], []),
      try(local.embargo[each.key], []),
      try(local.access_logs[each.key], []),
    )
  })

  # S3 refuses two changes of one bucket at a time.
  depends_on = [aws_s3_bucket_public_access_block.this]
}
