data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

locals {
  tags = merge(var.tags, { Name = var.name })
  # Four parts: one for the nodes of each zone, and the last for the NAT gateway.
  subnets = { for i, zone in var.zones : zone => cidrsubnet(var.cidr, 2, i) }
}

resource "aws_vpc" "this" {
  cidr_block = var.cidr
  # Interface endpoints and FSx are found by name.
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = local.tags
}

# The security group that everything without one would get lets nothing through.
resource "aws_default_security_group" "this" {
  vpc_id  = aws_vpc.this.id
  ingress = []
  egress  = []
  tags    = merge(var.tags, { Name = "${var.name}-closed" })
}

resource "aws_subnet" "private" {
  for_each = local.subnets

  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false
  tags                    = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-private" })
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private.id
}
