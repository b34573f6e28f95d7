mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name        = "survey"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
}

run "keeps_all_private_and_encrypted" {
  command = plan

  assert {
    condition     = { for kind, bucket in aws_s3_bucket.this : kind => bucket.bucket } == { config = "survey-123456789012-config", logs = "survey-123456789012-logs", products = "survey-123456789012-products", raw = "survey-123456789012-raw" }
    error_message = "Names of buckets have the account in them: they are the only ones in the world."
  }
  assert {
    condition     = alltrue([for block in aws_s3_bucket_public_access_block.this : block.block_public_acls && block.block_public_policy && block.ignore_public_acls && block.restrict_public_buckets]) && length(aws_s3_bucket_public_access_block.this) == 4
    error_message = "No bucket is public."
  }
  assert {
    condition     = alltrue([for kind in ["raw", "products", "config"] : one(one(aws_s3_bucket_server_side_encryption_configuration.this[kind].rule).apply_server_side_encryption_by_default).kms_master_key_id == var.kms_key_arn])
    error_message = "Data are encrypted with the key that was given."
  }
  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this["logs"].rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "Access logs are encrypted with the one key that S3 allows there."
  }
  assert {
    condition     = alltrue([for versioning in aws_s3_bucket_versioning.this : one(versioning.versioning_configuration).status == "Enabled"]) && length(aws_s3_bucket_versioning.this) == 4
    error_message = "What was overwritten can be brought back."
  }
  assert {
    condition     = alltrue([for bucket in aws_s3_bucket.this : !bucket.force_destroy])
    error_message = "A bucket that is not empty is not destroyed."
  }
  assert {
    condition     = keys(aws_s3_bucket_logging.this) == ["config", "products", "raw"]
    error_message = "It is kept who reads and writes data."
  }
  assert {
    condition     = alltrue([for notification in aws_s3_bucket_notification.this : notification.eventbridge]) && keys(aws_s3_bucket_notification.this) == ["products", "raw"]
    error_message = "New frames and products are told to EventBridge."
  }
}

run "refuses_by_policy" {
  command = plan

  assert {
    condition     = alltrue([for policy in aws_s3_bucket_policy.this : length([for statement in jsondecode(policy.policy).Statement : statement if try(statement.Effect == "Deny" && statement.Principal == "*" && statement.Action == "s3:*" && statement.Condition.Bool["aws:SecureTransport"] == "false", false)]) == 1])
    error_message = "Every bucket takes TLS only."
  }
  assert {
    condition     = alltrue([for policy in aws_s3_bucket_policy.this : length([for statement in jsondecode(policy.policy).Statement : statement if try(statement.Effect == "Deny" && statement.Condition.NumericLessThan["s3:TlsVersion"] == 1.2, false)]) == 1])
    error_message = "Every bucket refuses versions of TLS below 1.2."
  }
  assert {
    condition     = alltrue([for kind in ["raw", "products", "config"] : one([for statement in jsondecode(aws_s3_bucket_policy.this[kind].policy).Statement : statement if statement.Sid == "EncryptedWithAnotherKey"]).Action == "s3:PutObject"])
    error_message = "Data encrypted with another key are refused."
  }
  assert {
    condition     = alltrue([for kind in ["raw", "products", "config"] : one([for statement in jsondecode(aws_s3_bucket_policy.this[kind].policy).Statement : statement if statement.Sid == "EncryptedOtherwise"]).Condition.StringNotEquals["s3:x-amz-server-side-encryption"] == "aws:kms"])
    error_message = "Data encrypted by other means are refused."
  }
  assert {
    condition     = one([for statement in jsondecode(aws_s3_bucket_policy.this["products"].policy).Statement : statement if statement.Sid == "Embargo"]).Resource == ["arn:aws:s3:::survey-123456789012-products/embargo/*"]
    error_message = "What is under embargo is closed."
  }
  assert {
    condition     = one([for statement in jsondecode(aws_s3_bucket_policy.this["products"].policy).Statement : statement if statement.Sid == "Embargo"]).Condition.ArnNotLike["aws:PrincipalArn"][0] == "arn:aws:iam::123456789012:role/lsstpipe/*"
    error_message = "The pipeline writes what is under embargo."
  }
  assert {
    condition     = one([for statement in jsondecode(aws_s3_bucket_policy.this["logs"].policy).Statement : statement if statement.Sid == "AccessLogs"]).Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "S3 writes access logs of this account only."
  }
  assert {
    condition     = alltrue([for policy in aws_s3_bucket_policy.this : alltrue([for statement in jsondecode(policy.policy).Statement : statement.Effect == "Deny" || statement.Principal != "*"])])
    error_message = "No policy allows anything to everybody."
  }
}

run "forgets_old_signs_of_life_soon_and_nothing_else" {
  command = plan

  assert {
    condition     = { for kind, configuration in aws_s3_bucket_lifecycle_configuration.this : kind => [for rule in configuration.rule : "${rule.id} ${one(rule.noncurrent_version_expiration).noncurrent_days}" if length(rule.noncurrent_version_expiration) == 1] } == { config = ["what-was-deleted 90", "old-signs-of-life 1"], logs = ["what-was-deleted 90"], products = ["what-was-deleted 90"], raw = ["what-was-deleted 90"] }
    error_message = "Old versions are kept for 90 days, but for signs of life."
  }
  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this["config"].rule : one(one(rule.filter).and) if rule.id == "old-signs-of-life"]).object_size_less_than == 64 && one([for rule in aws_s3_bucket_lifecycle_configuration.this["config"].rule : one(one(rule.filter).and) if rule.id == "old-signs-of-life"]).prefix == "clusters/"
    error_message = "Signs of life are known by their size."
  }
}

run "moves_old_frames_to_cheaper_storage" {
  command = plan
  variables { raw_days = { infrequent = 30, archive = 90 } }

  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this["raw"].rule : [for step in rule.transition : "${step.days} ${step.storage_class}"] if rule.id == "old-frames"]) == ["30 STANDARD_IA", "90 GLACIER_IR"]
    error_message = "Raw frames go to cheaper classes when they were said to."
  }
  assert {
    condition     = !contains([for rule in aws_s3_bucket_lifecycle_configuration.this["products"].rule : rule.id], "old-frames")
    error_message = "Products stay where they are."
  }
  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this["logs"].rule : one(rule.expiration).days if rule.id == "old-access-logs"]) == 400
    error_message = "Access logs are kept for more than a year."
  }
  assert {
    condition     = alltrue([for configuration in aws_s3_bucket_lifecycle_configuration.this : alltrue([for rule in configuration.rule : rule.status == "Enabled"])])
    error_message = "All rules are at work."
  }
}
