# The registry lives in the network, so the network belongs to the data: clusters come and go in it.
module "network" {
  source = "../modules/network"
  count  = var.network == null ? 0 : 1

  name               = var.name
  kms_key_arn        = module.key.arn
  log_retention_days = var.log_retention_days
  cidr               = var.network.cidr
  reserved_cidrs     = var.network.reserved_cidrs
  zones              = var.network.zones
  nat                = var.network.nat
  endpoints          = coalesce(var.network.endpoints, var.network.nat == "one" ? [] : local.needed_endpoints)
}

data "aws_vpc" "existing" {
  count = var.existing_network == null ? 0 : 1

  id = var.existing_network.vpc_id

  lifecycle {
    postcondition {
      condition     = self.enable_dns_support && self.enable_dns_hostnames
      error_message = "The network ${var.existing_network.vpc_id} knows no names: switch on DNS support and DNS host names, without which neither endpoints nor Lustre are found."
    }
  }
}

locals {
  needed_endpoints = ["ec2", "ec2messages", "kms", "logs", "monitoring", "secretsmanager", "sqs", "ssm", "ssmmessages", "sts"]

  network = var.existing_network == null ? {
    vpc_id  = module.network[0].vpc_id
    cidr    = module.network[0].cidr
    subnets = module.network[0].subnets
    } : {
    vpc_id  = var.existing_network.vpc_id
    cidr    = data.aws_vpc.existing[0].cidr_block
    subnets = var.existing_network.subnets
  }
}
