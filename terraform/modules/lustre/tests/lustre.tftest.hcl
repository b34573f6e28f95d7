mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name        = "survey"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
  vpc_id      = "vpc-0a"
  subnet_id   = "subnet-0a"
  clients     = { "compute nodes" = "sg-0a" }
  links       = { raw = "s3://survey-raw", products = "s3://survey-products" }
}

run "links_each_folder_in_one_direction" {
  command = plan

  assert {
    condition     = one(one(aws_fsx_data_repository_association.raw.s3).auto_import_policy).events == tolist(["NEW", "CHANGED", "DELETED"])
    error_message = "What comes into S3 is seen below /raw."
  }
  assert {
    condition     = length(one(aws_fsx_data_repository_association.raw.s3).auto_export_policy) == 0 && length(one(aws_fsx_data_repository_association.products.s3).auto_import_policy) == 0
    error_message = "No folder is linked in both directions."
  }
  assert {
    condition     = !contains(one(one(aws_fsx_data_repository_association.products.s3).auto_export_policy).events, "DELETED")
    error_message = "What is deleted on Lustre stays in S3."
  }
  assert {
    condition     = [aws_fsx_data_repository_association.raw.file_system_path, aws_fsx_data_repository_association.products.file_system_path] == ["/raw", "/products"]
    error_message = "The rest of the file system is linked with nothing."
  }
}

run "makes_a_scratch_file_system_that_takes_links" {
  command = plan

  assert {
    condition     = aws_fsx_lustre_file_system.this.deployment_type == "SCRATCH_2" && aws_fsx_lustre_file_system.this.file_system_type_version == "2.15"
    error_message = "Type and version are said: the defaults of AWS take no links."
  }
  assert {
    condition     = aws_fsx_lustre_file_system.this.per_unit_storage_throughput == null
    error_message = "A scratch file system takes no throughput."
  }
  assert {
    condition     = length(terraform_data.kept) == 0
    error_message = "A scratch file system goes with its cluster."
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.this) == 4 && alltrue([for rule in aws_vpc_security_group_ingress_rule.this : rule.cidr_ipv4 == null])
    error_message = "Clients and servers reach it on two ranges of ports, nobody else does."
  }
  assert {
    condition     = aws_cloudwatch_log_group.this.name == "/aws/fsx/survey" && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn && one(aws_fsx_lustre_file_system.this.log_configuration).level == "WARN_ERROR"
    error_message = "Imports and exports that fail are logged, encrypted."
  }
  assert {
    condition     = output.mounts.lustre.source == "fs-0a.fsx.us-east-1.amazonaws.com@tcp:/mock" && output.mounts.lustre.target == "/lustre"
    error_message = "Nodes are told what to mount, and where."
  }
  assert {
    condition     = jsondecode(aws_scheduler_schedule.release["daily"].target[0].input).ReleaseConfiguration.DurationSinceLastAccess == { Unit = "DAYS", Value = 7 }
    error_message = "What was not used for a week makes room."
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.release["daily"].policy).Statement[0].Resource == ["arn:aws:fsx:us-east-1:123456789012:file-system/fs-0a", "arn:aws:fsx:us-east-1:123456789012:task/*"]
    error_message = "What makes room touches this file system alone."
  }
}

run "makes_a_persistent_file_system_with_our_key" {
  command = plan
  variables {
    deployment_type = "PERSISTENT_2"
    throughput      = 125
    storage_gib     = 4800
    release_days    = null
  }

  assert {
    condition     = aws_fsx_lustre_file_system.this.kms_key_id == var.kms_key_arn && aws_fsx_lustre_file_system.this.per_unit_storage_throughput == 125
    error_message = "A persistent file system has our key and its throughput."
  }
  assert {
    condition     = aws_fsx_lustre_file_system.this.deployment_type == "PERSISTENT_2" && aws_fsx_lustre_file_system.this.file_system_type_version == "2.15"
    error_message = "Type and version are said."
  }
  assert {
    condition     = length(terraform_data.kept) == 1
    error_message = "A persistent file system is held."
  }
  assert {
    condition     = length(aws_scheduler_schedule.release) == 0
    error_message = "Nothing makes room where that was not asked for."
  }
}
