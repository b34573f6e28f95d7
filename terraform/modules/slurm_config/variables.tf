variable "name" {
  description = "Name of the cluster: Slurm's cluster name and the value of the tag lsstpipe:cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.name))
    error_message = "The name of a cluster begins with a small letter and has at most 31 small letters, digits and hyphens."
  }
}

variable "tags" {
  description = "Further tags of all nodes, their volumes and interfaces."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : !startswith(key, "lsstpipe:") && !startswith(lower(key), "aws:")])
    error_message = "Tags that begin with lsstpipe: are set by the cluster itself, and those with aws: by AWS; choose other names."
  }
}

variable "region" {
  description = "AWS region of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region is written as us-east-1."
  }
}

variable "network" {
  description = "Id of the network, and of the subnet for nodes in each availability zone."
  type = object({
    vpc_id  = string
    subnets = map(string)
  })

  validation {
    condition     = length(var.network.subnets) > 0
    error_message = "At least one availability zone needs a subnet for nodes."
  }
}

variable "pools" {
  description = "Kinds of nodes, by name. No zones means all zones."
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
  }))

  validation {
    condition     = length(var.pools) > 0
    error_message = "A cluster needs at least one pool of nodes."
  }
  validation {
    condition     = alltrue([for name in keys(var.pools) : can(regex("^[a-z][a-z0-9]{0,15}$", name)) && name != "all"])
    error_message = "The name of a pool begins with a small letter, has at most 16 small letters and digits, and is not 'all', the name of the partition of all nodes."
  }
  validation {
    # Slurm takes 65,533 nodes (slurm.conf(5)), CreateFleet 1,000 at a time (EC2 Fleet quotas): more are asked for in parts.
    condition     = alltrue([for pool in values(var.pools) : pool.max_nodes >= 1 && pool.max_nodes <= 5000 && floor(pool.max_nodes) == pool.max_nodes])
    error_message = "The max_nodes of a pool is a whole number from 1 to 5000."
  }
  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.min_nodes >= 0 && pool.min_nodes <= pool.max_nodes && floor(pool.min_nodes) == pool.min_nodes])
    error_message = "The min_nodes of a pool is a whole number from 0 to its max_nodes."
  }
  validation {
    condition     = alltrue([for pool in values(var.pools) : length(pool.instance_types) > 0 && alltrue([for type in pool.instance_types : can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", type))])])
    error_message = "A pool names at least one instance type, such as m7a.4xlarge."
  }
  validation {
    condition     = alltrue([for pool in values(var.pools) : contains(["spot", "on-demand"], pool.capacity)])
    error_message = "The capacity of a pool is spot or on-demand."
  }
  validation {
    condition     = alltrue([for pool in values(var.pools) : contains(["none", "on-demand"], pool.fallback)])
    error_message = "The fallback of a pool is none or on-demand."
  }
  validation {
    # EC2 API, SpotOptionsRequest: AWS advises against lowest-price for nodes that are to stay.
    condition     = alltrue([for pool in values(var.pools) : contains(["price-capacity-optimized", "capacity-optimized"], pool.spot_strategy)])
    error_message = "The spot_strategy of a pool is price-capacity-optimized or capacity-optimized."
  }
  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.cpus >= 1 && floor(pool.cpus) == pool.cpus && pool.memory_mb >= 256 * pool.cpus && floor(pool.memory_mb) == pool.memory_mb])
    error_message = "The cpus and memory_mb of a pool are whole numbers, with at least 256 MB for each CPU."
  }
  validation {
    condition     = alltrue([for pool in values(var.pools) : pool.max_hourly_usd > 0])
    error_message = "The max_hourly_usd of a pool, what all its nodes may cost an hour, is above 0."
  }
  validation {
    condition     = alltrue([for pool in values(var.pools) : length(setsubtract(pool.zones, keys(var.network.subnets))) == 0])
    error_message = "A pool names a zone without a subnet; its zones are among the keys of network.subnets."
  }
}

variable "launch_templates" {
  description = "Launch template of each pool: its id and the number of its version."
  type        = map(object({ id = string, version = string }))

  validation {
    condition     = toset(keys(var.launch_templates)) == toset(keys(var.pools))
    error_message = "Each pool needs its launch template, and each launch template its pool: the keys of both are the same."
  }
  validation {
    condition     = alltrue([for template in values(var.launch_templates) : can(regex("^[1-9][0-9]*$", template.version))])
    error_message = "The version of a launch template is a number, never $Latest: a plan must show when it changes."
  }
}

variable "max_hourly_usd" {
  description = "What all nodes together may cost an hour: nothing is launched above it."
  type        = number

  validation {
    condition     = var.max_hourly_usd > 0
    error_message = "The max_hourly_usd of a cluster is above 0."
  }
}

variable "head" {
  description = "Host name and address of the head node, how Slurm's daemons know each other, how long a node may take to boot."
  type = object({
    hostname       = string
    address        = optional(string)
    auth           = optional(string, "munge")
    boot_timeout_s = optional(number, 600)
  })

  validation {
    # auth/slurm came with Slurm 23.11; Debian 12, which envs/image is made of, has 22.05, which needs munge.
    condition     = contains(["slurm", "munge"], var.head.auth)
    error_message = "The daemons of Slurm know each other by munge or, from 23.11 on, slurm."
  }
  validation {
    condition     = var.head.boot_timeout_s >= 60 && var.head.boot_timeout_s <= 3600
    error_message = "A node may take from 60 to 3600 s to boot."
  }
}
