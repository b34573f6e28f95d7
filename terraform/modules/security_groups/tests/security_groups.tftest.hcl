mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan

  override_resource {
    target = aws_security_group.head
    values = { id = "sg-0head" }
  }
  override_resource {
    target = aws_security_group.compute
    values = { id = "sg-0compute" }
  }
}

variables {
  name          = "survey"
  vpc_id        = "vpc-0a"
  vpc_cidr      = "10.20.0.0/16"
  registry_port = 5433
}

run "lets_only_the_cluster_in" {
  command = plan

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.inside : rule.referenced_security_group_id]) == toset(["sg-0head", "sg-0compute"])
    error_message = "Whoever comes in is of the cluster."
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.inside : rule.cidr_ipv4 == null])
    error_message = "No block of addresses comes in."
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.inside : rule.from_port > 22])
    error_message = "There is no SSH."
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.inside) == length(aws_vpc_security_group_egress_rule.inside) && length(aws_vpc_security_group_ingress_rule.inside) == 8
    error_message = "What one may send the other may take."
  }
}

run "lets_little_out" {
  command = plan

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_egress_rule.outside : rule.from_port == 443 if rule.cidr_ipv4 == "0.0.0.0/0"])
    error_message = "Only HTTPS leaves the network."
  }
  assert {
    condition     = [for rule in aws_vpc_security_group_egress_rule.outside : rule.security_group_id if rule.from_port == 5433 && rule.to_port == 5433] == ["sg-0head"]
    error_message = "Only the head node speaks with the registry."
  }
}

run "refuses_a_name_with_capitals" {
  command = plan
  variables { name = "Survey" }
  expect_failures = [var.name]
}

run "refuses_addresses_that_are_none" {
  command = plan
  variables { vpc_cidr = "10.20.0.0" }
  expect_failures = [var.vpc_cidr]
}

run "refuses_a_port_that_no_database_has" {
  command = plan
  variables { registry_port = 443 }
  expect_failures = [var.registry_port]
}
