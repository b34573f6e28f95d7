locals {
  groups = { head = aws_security_group.head.id, compute = aws_security_group.compute.id }

  # slurm.conf(5): slurmctld listens on 6817, slurmd on 6818; srun and the steps of a job on ports that the kernel gives
  # (SrunPortRange), 32768 to 60999 in Linux.
  inside = merge([for pair in setproduct(["head", "compute"], ["head", "compute"]) : {
    "${pair[0]} takes slurm from ${pair[1]}" = { to = pair[0], from = pair[1], ports = [6817, 6818] }
    "${pair[0]} takes steps from ${pair[1]}" = { to = pair[0], from = pair[1], ports = [32768, 60999] }
  }]...)

  # What both reach besides: AWS by HTTPS, which is an endpoint in the network or leaves by the NAT gateway; Lustre; only the
  # head node speaks with the registry.
  outside = merge([for kind in keys(local.groups) : merge({
    "${kind} to AWS"            = { from = kind, cidr = "0.0.0.0/0", ports = [443, 443] }
    "${kind} to Lustre"         = { from = kind, cidr = var.vpc_cidr, ports = [988, 988] }
    "${kind} to Lustre servers" = { from = kind, cidr = var.vpc_cidr, ports = [1018, 1023] }
    }, kind == "head" ? {
    "head to the registry" = { from = kind, cidr = var.vpc_cidr, ports = [var.registry_port, var.registry_port] }
  } : {})]...)
}

# Names that stay: another group would be another interface of the head node.
resource "aws_security_group" "head" {
  #checkov:skip=CKV2_AWS_5:The module head_node uses it
  name        = "${var.name}-head"
  description = "The head node: no way in but from nodes, shells come by Systems Manager"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-head" })
}

resource "aws_security_group" "compute" {
  #checkov:skip=CKV2_AWS_5:The launch templates of pools use it
  name        = "${var.name}-compute"
  description = "Nodes: no way in but from the cluster"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-compute" })
}

resource "aws_vpc_security_group_ingress_rule" "inside" {
  for_each = local.inside

  security_group_id            = local.groups[each.value.to]
  referenced_security_group_id = local.groups[each.value.from]
  description                  = each.key
  ip_protocol                  = "tcp"
  from_port                    = each.value.ports[0]
  to_port                      = each.value.ports[1]
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "inside" {
  for_each = local.inside

  security_group_id            = local.groups[each.value.from]
  referenced_security_group_id = local.groups[each.value.to]
  description                  = each.key
  ip_protocol                  = "tcp"
  from_port                    = each.value.ports[0]
  to_port                      = each.value.ports[1]
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "outside" {
  for_each = local.outside

  security_group_id = local.groups[each.value.from]
  cidr_ipv4         = each.value.cidr
  description       = each.key
  ip_protocol       = "tcp"
  from_port         = each.value.ports[0]
  to_port           = each.value.ports[1]
  tags              = var.tags
}
