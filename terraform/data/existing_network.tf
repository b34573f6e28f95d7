# How the subnets of a network that is there reach S3 and AWS, as `lsstpipe site check` looks at it. These are lists, which may
# be empty: the plan ends with a sentence, where the data source of an endpoint would only say that there is none.
data "aws_prefix_list" "s3" {
  count = var.existing_network == null ? 0 : 1

  name = "com.amazonaws.${var.region}.s3"
}

data "aws_route_tables" "own" {
  for_each = local.existing_subnets

  vpc_id = var.existing_network.vpc_id
  filter {
    name   = "association.subnet-id"
    values = [each.value]
  }
}

data "aws_route_tables" "main" {
  count = var.existing_network == null ? 0 : 1

  vpc_id = var.existing_network.vpc_id
  filter {
    name   = "association.main"
    values = ["true"]
  }
}

# A gateway endpoint is a route to the addresses of its service. It is here for its condition.
# tflint-ignore: terraform_unused_declarations
data "aws_route_tables" "to_s3" {
  count = var.existing_network == null ? 0 : 1

  vpc_id = var.existing_network.vpc_id
  filter {
    name   = "route.destination-prefix-list-id"
    values = [data.aws_prefix_list.s3[0].id]
  }

  lifecycle {
    postcondition {
      condition     = alltrue([for table in local.existing_tables : contains(self.ids, table)])
      error_message = "No gateway endpoint for S3 is in the route table of ${join(", ", [for zone, table in local.existing_tables : local.existing_subnets[zone] if !contains(self.ids, table)])}: each frame would pass a NAT gateway, which costs by the byte, or reach nothing. Make one in ${var.existing_network.vpc_id} for all its private route tables."
    }
  }
}

data "aws_route_tables" "to_internet" {
  count = var.existing_network == null ? 0 : 1

  vpc_id = var.existing_network.vpc_id
  filter {
    name   = "route.destination-cidr-block"
    values = ["0.0.0.0/0"]
  }
}

# AWS lists no endpoints by their services to Terraform. Each has an interface at least: where there are fewer interfaces than
# services, some are absent for sure.
data "aws_network_interfaces" "endpoints" {
  count = var.existing_network == null ? 0 : 1

  filter {
    name   = "vpc-id"
    values = [var.existing_network.vpc_id]
  }
  filter {
    name   = "interface-type"
    values = ["vpc_endpoint"]
  }

  lifecycle {
    postcondition {
      condition     = length(local.without_internet) == 0 || length(self.ids) >= length(local.needed_endpoints)
      error_message = "No way leads from ${join(", ", local.without_internet)} to AWS: neither a default route, such as one to a NAT gateway, nor interface endpoints for each of ${join(", ", local.needed_endpoints)}. Make either in ${var.existing_network.vpc_id}."
    }
  }
}

# Which is absent is told by the name of the one that is not found.
# tflint-ignore: terraform_unused_declarations
data "aws_vpc_endpoint" "needed_without_a_default_route" {
  for_each = toset(length(local.without_internet) == 0 ? [] : local.needed_endpoints)

  vpc_id       = var.existing_network.vpc_id
  service_name = "com.amazonaws.${var.region}.${each.key}"

  depends_on = [data.aws_network_interfaces.endpoints]
}

locals {
  existing_subnets = try(var.existing_network.subnets, {})

  # A subnet without a route table of its own has the main one of its network.
  existing_tables = { for zone, own in data.aws_route_tables.own : zone => concat(own.ids, flatten(data.aws_route_tables.main[*].ids), ["none"])[0] }

  without_internet = [for zone, table in local.existing_tables : local.existing_subnets[zone] if !contains(flatten(data.aws_route_tables.to_internet[*].ids), table)]
}
