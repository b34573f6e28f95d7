variable "name" {
  description = "Name of the cluster: several can use the same data."
  type        = string

  validation {
    # With what is added, roles have 38 characters, and S3 and Slurm take the name.
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.name))
    error_message = "The name of a cluster begins with a small letter and has at most 31 small letters, digits and hyphens."
  }
}

variable "tags" {
  description = "Tags of all that is made here and of all nodes, such as CostCenter."
  type        = map(string)
  default     = {}
}

variable "data" {
  description = "What terraform/data has made: its output data."
  type = object({
    name        = string
    region      = string
    account     = object({ partition = string, id = string })
    kms_key_arn = string
    buckets     = map(object({ name = string, arn = string }))
    network     = object({ vpc_id = string, cidr = string, subnets = map(string) })
    registry = object({
      host              = string
      port              = number
      database          = string
      resource_id       = string
      owner_secret_arn  = string
      security_group_id = string
    })
    persistent_lustre = optional(object({
      mounts            = map(object({ source = string, target = string, type = string, options = string }))
      security_group_id = string
    }))
  })

  validation {
    condition     = length(setsubtract(["raw", "products", "config"], keys(var.data.buckets))) == 0
    error_message = "The data have no bucket for raw frames, products or configuration: give the output data of terraform/data."
  }
}

variable "images" {
  description = "Ids of the images that the head node and nodes start from."
  type        = object({ head = string, node = string })
}

variable "pools" {
  description = "Kinds of nodes, by name: see modules/slurm_config, and the size of the disk of a node."
  type = map(object({
    instance_types = list(string)
    cpus           = number
    memory_mb      = number
    max_nodes      = number
    min_nodes      = optional(number, 0)
    max_hourly_usd = number
    capacity       = optional(string, "spot")
    fallback       = optional(string, "on-demand")
    spot_strategy  = optional(string, "price-capacity-optimized")
    zones          = optional(list(string), [])
    disk_gib       = optional(number, 50)
  }))
}

variable "max_hourly_usd" {
  description = "What all nodes together may cost an hour."
  type        = number
}

variable "budget" {
  description = "What the cluster may cost a month, and who is told about costs and alarms."
  type        = object({ monthly_usd = number, emails = list(string) })
}

variable "head" {
  description = "The head node: type of machine, its disk, that for Slurm's state, how Slurm's daemons know each other, its zone (null for the first)."
  type = object({
    instance_type = optional(string, "m7a.large")
    root_gib      = optional(number, 50)
    state_gib     = optional(number, 30)
    auth          = optional(string, "munge")
    zone          = optional(string)
  })
  default = {}

  validation {
    condition     = var.head.zone == null ? true : contains(keys(var.data.network.subnets), var.head.zone)
    error_message = "The head node is in a zone without a subnet; choose one of data.network.subnets."
  }
}

variable "lustre" {
  description = "The scratch file system: size in GiB and after how many days without use files make room; null for none."
  type = object({
    storage_gib  = optional(number, 1200)
    release_days = optional(number, 7)
  })
  default = null

  validation {
    # Both would be /lustre, and FSx would write what either has to the same places in S3.
    condition     = var.lustre == null ? true : var.data.persistent_lustre == null
    error_message = "The data have a persistent file system, which the cluster mounts in place of one of its own: leave lustre out."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of a policy that no role of the cluster goes beyond; null for none."
  type        = string
  default     = null
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 365
}
