mock_provider "aws" {
  source          = "../mocks"
  override_during = plan
}

variables {
  name = "survey"
  data = {
    name        = "survey"
    region      = "us-east-1"
    account     = { partition = "aws", id = "123456789012" }
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
    buckets = {
      raw      = { name = "s-raw", arn = "arn:aws:s3:::s-raw" }
      products = { name = "s-products", arn = "arn:aws:s3:::s-products" }
      config   = { name = "s-config", arn = "arn:aws:s3:::s-config" }
    }
    network = { vpc_id = "vpc-0a", cidr = "10.20.0.0/16", subnets = { us-east-1a = "subnet-0a" } }
    registry = {
      host              = "registry"
      port              = 5432
      database          = "registry"
      resource_id       = "db-ABC"
      owner_secret_arn  = "arn:aws:secretsmanager:us-east-1:123456789012:secret:mock"
      security_group_id = "sg-0a"
    }
    persistent_lustre = {
      mounts            = { lustre = { source = "fs-0b.fsx.us-east-1.amazonaws.com@tcp:/kept", target = "/lustre", type = "lustre", options = "noatime" } }
      security_group_id = "sg-0c"
    }
  }
  images         = { head = "ami-0a", node = "ami-0b" }
  max_hourly_usd = 10
  budget         = { monthly_usd = 100, emails = ["ops@example.org"] }
  pools = {
    spot = { instance_types = ["m7a.xlarge"], cpus = 4, memory_mb = 15000, max_nodes = 10, max_hourly_usd = 10 }
  }
}

override_module {
  target          = module.security_groups
  override_during = plan
  outputs         = { head_id = "sg-0d", compute_id = "sg-0e" }
}

run "mounts_the_file_system_of_the_data_and_lets_itself_in" {
  command = plan

  assert {
    condition     = output.site.mounts.lustre == var.data.persistent_lustre.mounts.lustre && length(module.lustre) == 0
    error_message = "The file system of the data is there in place of one of the cluster's own."
  }
  assert {
    condition     = strcontains(local.head_script, "export MOUNTS='fs-0b.fsx.us-east-1.amazonaws.com@tcp:/kept /lustre lustre noatime'\n")
    error_message = "The head node mounts it when it starts."
  }
  assert {
    condition = alltrue([for rules in [aws_vpc_security_group_ingress_rule.lustre, aws_vpc_security_group_egress_rule.lustre] :
      toset([for rule in rules : "${rule.security_group_id} ${rule.referenced_security_group_id} ${rule.from_port}-${rule.to_port}"]) ==
      toset(["sg-0c sg-0d 988-988", "sg-0c sg-0d 1018-1023", "sg-0c sg-0e 988-988", "sg-0c sg-0e 1018-1023"])
    ])
    error_message = "Head node and nodes come in on two ranges of ports, nobody else does."
  }
}

run "lets_nobody_in_where_the_data_have_no_file_system" {
  command = plan
  variables {
    data   = merge(var.data, { persistent_lustre = null })
    lustre = {}
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.lustre) == 0 && output.site.mounts.lustre.source == "fs-0a.fsx.us-east-1.amazonaws.com@tcp:/mock"
    error_message = "A cluster has a file system of its own."
  }
}
