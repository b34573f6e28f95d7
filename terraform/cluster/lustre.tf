# A file system of the cluster's own, gone with it, or that of the data, which stays.
module "lustre" {
  source = "../modules/lustre"
  count  = var.lustre == null ? 0 : 1

  name               = var.name
  kms_key_arn        = var.data.kms_key_arn
  log_retention_days = var.log_retention_days
  vpc_id             = var.data.network.vpc_id
  subnet_id          = local.place.subnet_id
  clients            = { "the head node" = module.security_groups.head_id, "compute nodes" = module.security_groups.compute_id }
  storage_gib        = var.lustre.storage_gib
  release_days       = var.lustre.release_days
  links = {
    raw      = "s3://${var.data.buckets["raw"].name}"
    products = "s3://${var.data.buckets["products"].name}"
  }
}

locals {
  mounts = merge(
    var.lustre == null ? {} : module.lustre[0].mounts,
    var.data.persistent_lustre == null ? {} : var.data.persistent_lustre.mounts,
  )

  # The ports that modules/lustre has for its clients, too.
  ways_in = var.data.persistent_lustre == null ? {} : merge([for kind, group in {
    "the head node" = module.security_groups.head_id, "compute nodes" = module.security_groups.compute_id
    } : {
    "lnet and ${kind}"    = { group = group, kind = kind, ports = [988, 988] }
    "servers and ${kind}" = { group = group, kind = kind, ports = [1018, 1023] }
  }]...)
}

resource "aws_vpc_security_group_ingress_rule" "lustre" {
  for_each = local.ways_in

  security_group_id            = var.data.persistent_lustre.security_group_id
  referenced_security_group_id = each.value.group
  description                  = "Lustre from ${each.value.kind} of ${var.name}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.ports[0]
  to_port                      = each.value.ports[1]
}

resource "aws_vpc_security_group_egress_rule" "lustre" {
  for_each = local.ways_in

  security_group_id            = var.data.persistent_lustre.security_group_id
  referenced_security_group_id = each.value.group
  description                  = "Lustre to ${each.value.kind} of ${var.name}"
  ip_protocol                  = "tcp"
  from_port                    = each.value.ports[0]
  to_port                      = each.value.ports[1]
}
