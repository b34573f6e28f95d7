# The one way out, if there is one. Nothing comes in: no other thing has a public address.
locals {
  nat = var.nat == "one" ? { (var.zones[0]) = cidrsubnet(cidrsubnet(var.cidr, 2, 3), 2, 0) } : {}
}

resource "aws_internet_gateway" "this" {
  for_each = local.nat

  vpc_id = aws_vpc.this.id
  tags   = local.tags
}

resource "aws_subnet" "nat" {
  for_each = local.nat

  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false
  tags                    = merge(var.tags, { Name = "${var.name}-nat" })
}

resource "aws_route_table" "nat" {
  for_each = local.nat

  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-nat" })
}

resource "aws_route_table_association" "nat" {
  for_each = local.nat

  subnet_id      = aws_subnet.nat[each.key].id
  route_table_id = aws_route_table.nat[each.key].id
}

resource "aws_route" "nat_to_internet" {
  for_each = local.nat

  route_table_id         = aws_route_table.nat[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[each.key].id
}

resource "aws_eip" "nat" {
  for_each = local.nat

  domain = "vpc"
  tags   = merge(var.tags, { Name = "${var.name}-nat" })
}

resource "aws_nat_gateway" "this" {
  for_each = local.nat

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.nat[each.key].id
  tags          = local.tags

  depends_on = [aws_route.nat_to_internet]
}

resource "aws_route" "private_to_nat" {
  for_each = local.nat

  route_table_id         = aws_route_table.private.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[each.key].id
}
