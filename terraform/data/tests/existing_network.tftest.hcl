# An existing network leads to S3 and to AWS from each subnet, or is refused.
mock_provider "aws" {
  source          = "../mocks"
  override_during = plan
}

variables {
  name             = "survey"
  region           = "us-east-1"
  existing_network = { vpc_id = "vpc-0a", subnets = { us-east-1a = "subnet-0a", us-east-1b = "subnet-0b" } }
}

run "refuses_a_network_without_an_endpoint_for_s3" {
  command = plan
  override_data {
    target = data.aws_route_tables.to_s3[0]
    values = { ids = [] }
  }
  expect_failures = [data.aws_route_tables.to_s3]
}

run "refuses_a_subnet_whose_own_route_table_has_no_endpoint_for_s3" {
  command = plan
  override_data {
    target = data.aws_route_tables.own["us-east-1b"]
    values = { ids = ["rtb-0b"] }
  }
  override_data {
    target = data.aws_route_tables.to_internet[0]
    values = { ids = ["rtb-0a", "rtb-0b"] }
  }
  expect_failures = [data.aws_route_tables.to_s3]
}

run "refuses_a_network_without_nat_and_without_endpoints" {
  command = plan
  override_data {
    target = data.aws_route_tables.to_internet[0]
    values = { ids = [] }
  }
  expect_failures = [data.aws_network_interfaces.endpoints]
}

run "refuses_a_subnet_without_a_default_route_where_an_endpoint_is_absent" {
  command = plan
  override_data {
    target = data.aws_route_tables.own["us-east-1b"]
    values = { ids = ["rtb-0b"] }
  }
  override_data {
    target = data.aws_route_tables.to_s3[0]
    values = { ids = ["rtb-0a", "rtb-0b"] }
  }
  override_data {
    target = data.aws_network_interfaces.endpoints[0]
    values = { ids = ["eni-0", "eni-1", "eni-2", "eni-3", "eni-4", "eni-5", "eni-6", "eni-7", "eni-8"] }
  }
  expect_failures = [data.aws_network_interfaces.endpoints]
}

run "takes_subnets_that_have_the_main_route_table_and_a_default_route" {
  command = plan
  override_data {
    target = data.aws_route_tables.own
    values = { ids = [] }
  }
  assert {
    condition     = values(local.existing_tables) == ["rtb-0a", "rtb-0a"]
    error_message = "A subnet without a route table of its own has the main one."
  }
  assert {
    condition     = length(data.aws_vpc_endpoint.needed_without_a_default_route) == 0
    error_message = "With a default route no endpoint but that of S3 is needed."
  }
}

run "takes_a_network_without_nat_that_has_the_endpoints" {
  command = plan
  override_data {
    target = data.aws_route_tables.to_internet[0]
    values = { ids = [] }
  }
  override_data {
    target = data.aws_network_interfaces.endpoints[0]
    values = { ids = ["eni-0", "eni-1", "eni-2", "eni-3", "eni-4", "eni-5", "eni-6", "eni-7", "eni-8", "eni-9"] }
  }
  assert {
    condition     = keys(data.aws_vpc_endpoint.needed_without_a_default_route) == local.needed_endpoints
    error_message = "Each endpoint that nodes need is looked for."
  }
}
