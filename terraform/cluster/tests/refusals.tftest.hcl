# Each validation refuses what it is there for; each run changes one thing of what is allowed.
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
  }
  images         = { head = "ami-0a", node = "ami-0b" }
  max_hourly_usd = 10
  budget         = { monthly_usd = 100, emails = ["ops@example.org"] }
  pools = {
    spot = { instance_types = ["m7a.xlarge"], cpus = 4, memory_mb = 15000, max_nodes = 10, max_hourly_usd = 10 }
  }
}

run "refuses_a_name_with_capitals" {
  command = plan
  variables {
    name = "Survey"
  }
  expect_failures = [var.name]
}

run "refuses_data_without_a_bucket" {
  command = plan
  variables {
    data = merge(var.data, { buckets = {} })
  }
  expect_failures = [var.data]
}

run "refuses_a_head_node_in_a_zone_without_a_subnet" {
  command = plan
  variables {
    head = { zone = "us-east-1b" }
  }
  expect_failures = [var.head]
}

run "refuses_a_zone_without_the_instance_type" {
  command = plan
  variables {
    data = merge(var.data, { network = merge(var.data.network, { subnets = { us-east-1a = "subnet-0a", us-east-1b = "subnet-0b" } }) })
    pools = {
      spot = { instance_types = ["m7a.xlarge"], cpus = 4, memory_mb = 15000, max_nodes = 10, max_hourly_usd = 10, zones = ["us-east-1b"] }
    }
  }
  expect_failures = [data.aws_ec2_instance_type_offerings.pool]
}

run "refuses_a_network_without_the_instance_type" {
  command = plan
  override_data {
    target = data.aws_ec2_instance_type_offerings.pool
    values = { instance_types = [], locations = [] }
  }
  expect_failures = [data.aws_ec2_instance_type_offerings.pool]
}

run "refuses_spot_alone_without_a_quota" {
  command = plan
  variables {
    pools = {
      spot = { instance_types = ["m7a.xlarge"], cpus = 4, memory_mb = 15000, max_nodes = 10, max_hourly_usd = 10, fallback = "none" }
    }
  }
  override_data {
    target = data.aws_servicequotas_service_quota.spot
    values = { value = 0 }
  }
  expect_failures = [data.aws_servicequotas_service_quota.spot]
}

run "needs_no_quota_of_spot_where_a_pool_falls_back" {
  command = plan
  override_data {
    target = data.aws_servicequotas_service_quota.spot
    values = { value = 0 }
  }

  assert {
    condition     = length(data.aws_servicequotas_service_quota.spot) == 0
    error_message = "A pool that falls back on demand starts without the Spot market."
  }
}

run "refuses_a_file_system_of_its_own_beside_that_of_the_data" {
  command = plan
  variables {
    data = merge(var.data, {
      persistent_lustre = {
        mounts            = { lustre = { source = "fs-0b.fsx.us-east-1.amazonaws.com@tcp:/kept", target = "/lustre", type = "lustre", options = "noatime" } }
        security_group_id = "sg-0c"
      }
    })
    lustre = {}
  }
  expect_failures = [var.lustre]
}
