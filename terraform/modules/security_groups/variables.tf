variable "name" {
  description = "Name of the cluster; the groups are called NAME-head and NAME-compute."
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

variable "vpc_id" {
  description = "Id of the network."
  type        = string
}

variable "vpc_cidr" {
  description = "Addresses of the network: where registry and file system are."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr))
    error_message = "The addresses of a network are an IPv4 block, such as 10.20.0.0/16."
  }
}

variable "registry_port" {
  description = "Port of the registry's database."
  type        = number

  validation {
    # Amazon RDS API, CreateDBInstance, Port for PostgreSQL.
    condition     = var.registry_port >= 1150 && var.registry_port <= 65535 && floor(var.registry_port) == var.registry_port
    error_message = "The port of the registry is a whole number from 1150 to 65535."
  }
}
