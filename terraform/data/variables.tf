variable "name" {
  description = "Name of the data; what is made here begins with it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.name))
    error_message = "A name begins with a small letter and has at most 31 small letters, digits and hyphens."
  }
}

variable "region" {
  description = "AWS region of the data, and of the clusters that use them."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region is written as us-east-1."
  }
}

variable "tags" {
  description = "Tags of all that is made here, such as CostCenter."
  type        = map(string)
  default     = {}
}

variable "allow_destroy" {
  description = "First of the two switches that end data: buckets may be destroyed with what they hold, and the database at all. The second is the script terraform/destroy-data."
  type        = bool
  default     = false
}

variable "network" {
  description = "The network to make: addresses, zones, NAT gateways, endpoints (null for those that are needed). Null for an existing one."
  type = object({
    cidr           = string
    zones          = list(string)
    nat            = optional(string, "none")
    endpoints      = optional(set(string))
    reserved_cidrs = optional(list(string), [])
  })
  default = null

  validation {
    condition     = (var.network == null) != (var.existing_network == null)
    error_message = "Either network says what to make, or existing_network what to use: one of them, not both."
  }
  validation {
    condition     = var.network == null ? true : alltrue([for zone in var.network.zones : startswith(zone, var.region)])
    error_message = "The zones of the network are in another region than the data."
  }
}

variable "existing_network" {
  description = "A network to use: its id, and a private subnet in each of two or three zones."
  type = object({
    vpc_id  = string
    subnets = map(string)
  })
  default = null

  validation {
    condition     = var.existing_network == null ? true : contains([2, 3], length(var.existing_network.subnets))
    error_message = "An existing network has a private subnet in each of two or three zones."
  }
}

variable "registry" {
  description = "The database: size, disk, whether another stands by, for how many days it can be brought back, whether the load of its machine is written down."
  type = object({
    engine_version = optional(string, "17")
    instance_class = optional(string, "db.t4g.medium")
    storage_gib    = optional(object({ first = optional(number, 50), most = optional(number, 500) }), {})
    multi_az       = optional(bool, false)
    backup_days    = optional(number, 14)
    # For how many seconds; whose log it is, modules/registry_db says.
    monitoring_seconds = optional(number, 0)
  })
  default = {}
}

variable "raw_days" {
  description = "After how many days raw frames go to cheaper storage."
  type        = object({ infrequent = optional(number, 60), archive = optional(number, 365) })
  default     = {}
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 365
}
