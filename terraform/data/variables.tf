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

variable "persistent_lustre" {
  description = "A file system that outlives clusters: GiB, MB/s for each TiB, after how many days without use files that are in S3 make room (null for never). Null for none: each cluster has its own, or none."
  type = object({
    storage_gib             = number
    throughput_mbps_per_tib = number
    release_days            = optional(number)
  })
  default = null

  validation {
    # FSx API, CreateFileSystem, StorageCapacity of SSD.
    condition     = var.persistent_lustre == null ? true : var.persistent_lustre.storage_gib == 1200 || (var.persistent_lustre.storage_gib >= 2400 && var.persistent_lustre.storage_gib % 2400 == 0)
    error_message = "A persistent file system has 1200 GiB, 2400 GiB or a multiple of that."
  }
  validation {
    # FSx API, PerUnitStorageThroughput of PERSISTENT_2 SSD.
    condition     = var.persistent_lustre == null ? true : contains([125, 250, 500, 1000], var.persistent_lustre.throughput_mbps_per_tib)
    error_message = "A persistent file system has 125, 250, 500 or 1000 MB/s for each TiB."
  }
  validation {
    condition     = var.persistent_lustre == null ? true : var.persistent_lustre.release_days == null ? true : var.persistent_lustre.release_days >= 1
    error_message = "A file of the persistent file system makes room after a day without use at least."
  }
  validation {
    # What belongs to the file system is called NAME-data.
    condition     = var.persistent_lustre == null ? true : length(var.name) <= 26
    error_message = "With a persistent file system the name of the data has at most 26 letters, digits and hyphens."
  }
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
