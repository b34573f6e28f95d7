variable "name" {
  description = "Name of the network; what is made here begins with it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.name))
    error_message = "A name begins with a small letter and has at most 31 small letters, digits and hyphens."
  }
}

variable "tags" {
  description = "Tags of all that is made here."
  type        = map(string)
  default     = {}
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts the flow logs."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "The key is given by its ARN, arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 365

  validation {
    # CloudWatch Logs API, PutRetentionPolicy, of which those of a year and more.
    condition     = contains([365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "Logs are kept for 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days."
  }
}

variable "cidr" {
  description = "Addresses of the network, such as 10.20.0.0/16."
  type        = string

  validation {
    # Amazon VPC User Guide, "VPC CIDR blocks": /16 to /28; a quarter of it must hold a subnet of nodes.
    condition     = can(cidrnetmask(var.cidr)) && try(cidrhost(var.cidr, 0) == split("/", var.cidr)[0] && tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 24, false)
    error_message = "The addresses of a network are an IPv4 block of size /16 to /24 that begins where the block does, such as 10.20.0.0/16."
  }
  validation {
    condition = alltrue([for other in var.reserved_cidrs : try(
      cidrhost("${split("/", var.cidr)[0]}/${min(split("/", var.cidr)[1], split("/", other)[1])}", 0) !=
      cidrhost("${split("/", other)[0]}/${min(split("/", var.cidr)[1], split("/", other)[1])}", 0), true
    )])
    error_message = "The addresses of the network overlap with one of reserved_cidrs; choose a block that shares none with them."
  }
}

variable "reserved_cidrs" {
  description = "Addresses that are in use elsewhere, in networks that this one may be joined with."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.reserved_cidrs : can(cidrnetmask(cidr))])
    error_message = "Each of reserved_cidrs is an IPv4 block, such as 10.0.0.0/16."
  }
}

variable "zones" {
  description = "Availability zones, two or three of one region."
  type        = list(string)

  validation {
    # Amazon RDS needs subnets in two zones at least; the network is divided into four parts.
    condition     = length(distinct(var.zones)) == length(var.zones) && contains([2, 3], length(var.zones))
    error_message = "A network is in two or three different availability zones."
  }
  validation {
    condition     = alltrue([for zone in var.zones : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$", zone))]) && length(distinct([for zone in var.zones : substr(zone, 0, length(zone) - 1)])) == 1
    error_message = "Availability zones are written as us-east-1a, and are all of one region."
  }
}

variable "nat" {
  description = "Whether nodes reach the internet, through one NAT gateway: one or none."
  type        = string
  default     = "none"

  validation {
    condition     = contains(["one", "none"], var.nat)
    error_message = "The number of NAT gateways is one or none."
  }
}

variable "endpoints" {
  description = "AWS services that are reached without leaving the network, each for an hourly fee in each zone. S3 always is, for none."
  type        = set(string)
  default     = ["ec2", "ec2messages", "kms", "logs", "monitoring", "secretsmanager", "sqs", "ssm", "ssmmessages", "sts"]

  validation {
    condition     = var.nat == "one" || length(setsubtract(["ec2", "ec2messages", "kms", "logs", "monitoring", "secretsmanager", "sqs", "ssm", "ssmmessages", "sts"], var.endpoints)) == 0
    error_message = "Without a NAT gateway nodes reach AWS by endpoints alone: ec2, ec2messages, kms, logs, monitoring, secretsmanager, sqs, ssm, ssmmessages and sts are needed."
  }
}
