data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  # raw: frames as they came. products: what is published, with the right to read it as prefix
  # (releases/<right>/..., embargo/<night>/...). config: what Terraform tells a cluster, dumps of its accounts.
  data    = toset(["raw", "products", "config"])
  all     = setunion(local.data, ["logs"])
  buckets = { for kind in local.all : kind => "${var.name}-${local.account}-${kind}" }
  arns    = { for kind, bucket in local.buckets : kind => "arn:${local.partition}:s3:::${bucket}" }
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:All but the bucket of the logs themselves have access logs
  #checkov:skip=CKV_AWS_144:S3 keeps three copies in as many zones; another region would double the price
  #checkov:skip=CKV2_AWS_62:Raw frames and products tell EventBridge; of the others nobody wants to know
  for_each = local.buckets

  bucket        = each.value
  force_destroy = var.force_destroy
  tags          = merge(var.tags, { Name = each.value })

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = local.buckets

  bucket                  = aws_s3_bucket.this[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = local.buckets

  bucket = aws_s3_bucket.this[each.key].id
  rule {
    # One request to KMS an hour instead of one an object.
    bucket_key_enabled = each.key != "logs"
    apply_server_side_encryption_by_default {
      # S3 writes access logs only to buckets with its own key ("Enabling Amazon S3 server access logging").
      sse_algorithm     = each.key == "logs" ? "AES256" : "aws:kms"
      kms_master_key_id = each.key == "logs" ? null : var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_logging" "this" {
  for_each = local.data

  bucket        = aws_s3_bucket.this[each.key].id
  target_bucket = aws_s3_bucket.this["logs"].id
  target_prefix = "access/${each.key}/"
}

resource "aws_s3_bucket_notification" "this" {
  for_each = toset(["raw", "products"])

  bucket      = aws_s3_bucket.this[each.key].id
  eventbridge = true

  lifecycle {
    # FSx enters its own when a file system is linked with the bucket; they are not ours to remove.
    ignore_changes = [topic, queue, lambda_function]
  }
}
