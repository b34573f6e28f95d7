# Amazon FSx for Lustre User Guide, "File system access control with Amazon VPC": ports 988 and 1018 to 1023, between clients
# and servers and among servers.
locals {
  ports = { lnet = [988, 988], servers = [1018, 1023] }
  peers = merge(var.clients, { "the file system itself" = aws_security_group.this.id })
  rules = merge([for peer in concat(keys(var.clients), ["the file system itself"]) : {
    for kind, range in local.ports : "${kind} and ${peer}" => { peer = peer, from = range[0], to = range[1] }
  }]...)
}

resource "aws_security_group" "this" {
  name        = "${var.name}-lustre"
  description = "The Lustre file system"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-lustre" })
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = local.rules

  security_group_id            = aws_security_group.this.id
  description                  = "Lustre from ${each.value.peer}"
  referenced_security_group_id = local.peers[each.value.peer]
  ip_protocol                  = "tcp"
  from_port                    = each.value.from
  to_port                      = each.value.to
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "this" {
  for_each = local.rules

  security_group_id            = aws_security_group.this.id
  description                  = "Lustre to ${each.value.peer}"
  referenced_security_group_id = local.peers[each.value.peer]
  ip_protocol                  = "tcp"
  from_port                    = each.value.from
  to_port                      = each.value.to
  tags                         = var.tags
}
