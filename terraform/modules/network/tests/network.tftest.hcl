mock_provider "aws" {
  source = "../../mocks"
}

variables {
  name        = "survey"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
  cidr        = "10.20.0.0/16"
  zones       = ["us-east-1a", "us-east-1b"]
}

run "is_closed_without_a_nat_gateway" {
  command = plan

  assert {
    condition     = { for zone, subnet in aws_subnet.private : zone => subnet.cidr_block } == { us-east-1a = "10.20.0.0/18", us-east-1b = "10.20.64.0/18" }
    error_message = "Each zone has a quarter of the addresses."
  }
  assert {
    condition     = alltrue([for subnet in aws_subnet.private : !subnet.map_public_ip_on_launch])
    error_message = "Nothing in a private subnet has a public address."
  }
  assert {
    condition     = length(aws_internet_gateway.this) == 0 && length(aws_nat_gateway.this) == 0 && length(aws_route.private_to_nat) == 0
    error_message = "There is no way out."
  }
  assert {
    condition     = length(aws_vpc_endpoint.service) == 10 && alltrue([for endpoint in aws_vpc_endpoint.service : endpoint.private_dns_enabled])
    error_message = "The services that nodes need are reached by their usual names."
  }
  assert {
    condition     = aws_vpc_endpoint.s3.service_name == "com.amazonaws.us-east-1.s3" && aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
    error_message = "S3 is reached for no fee."
  }
  assert {
    condition     = aws_vpc.this.enable_dns_hostnames && aws_vpc.this.enable_dns_support
    error_message = "Names are known in the network."
  }
  assert {
    condition     = length(aws_default_security_group.this.ingress) == 0 && length(aws_default_security_group.this.egress) == 0
    error_message = "The default security group lets nothing through."
  }
  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_cloudwatch_log_group.flow.kms_key_id == var.kms_key_arn && aws_cloudwatch_log_group.flow.retention_in_days == 365
    error_message = "All traffic is logged, encrypted, for a year."
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints.from_port == 443 && aws_vpc_security_group_ingress_rule.endpoints.cidr_ipv4 == "10.20.0.0/16"
    error_message = "Endpoints take HTTPS from the network only."
  }
}

run "has_one_way_out_with_a_nat_gateway" {
  command = plan
  variables {
    nat       = "one"
    endpoints = []
  }

  assert {
    condition     = keys(aws_nat_gateway.this) == ["us-east-1a"] && aws_subnet.nat["us-east-1a"].cidr_block == "10.20.192.0/20"
    error_message = "The NAT gateway is in a subnet of its own, which overlaps with none of the nodes'."
  }
  assert {
    condition     = aws_route.private_to_nat["us-east-1a"].destination_cidr_block == "0.0.0.0/0"
    error_message = "Nodes reach the internet through it."
  }
  assert {
    condition     = length(aws_vpc_endpoint.service) == 0
    error_message = "Endpoints that were not asked for cost nothing."
  }
}

run "takes_three_zones" {
  command = plan
  variables { zones = ["us-east-1a", "us-east-1b", "us-east-1d"] }

  assert {
    condition     = [for subnet in aws_subnet.private : subnet.cidr_block] == ["10.20.0.0/18", "10.20.64.0/18", "10.20.128.0/18"]
    error_message = "A third zone changes nothing of the first two."
  }
}
