variable "name" {
  description = "Name of the registry; what is made here begins with it."
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
  description = "ARN of the key that encrypts the database, its backups, password and logs."
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

variable "vpc_id" {
  description = "Id of the network."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, in two availability zones at least."
  type        = list(string)

  validation {
    # Amazon RDS User Guide, "Working with a DB instance in a VPC".
    condition     = length(var.subnet_ids) >= 2
    error_message = "A database needs subnets in two availability zones at least, also if it is in one."
  }
}

variable "clients" {
  description = "Security groups that may connect, by what they are for."
  type        = map(string)
  default     = {}
}

variable "engine_version" {
  description = "Major version of PostgreSQL; minor ones come by themselves."
  type        = string
  default     = "17"

  validation {
    # The registry's tests run on PostgreSQL 15 and later.
    condition     = contains(["15", "16", "17", "18"], var.engine_version)
    error_message = "The registry runs on PostgreSQL 15, 16, 17 or 18."
  }
}

variable "instance_class" {
  description = "Size of the machine."
  type        = string
  default     = "db.t4g.medium"

  validation {
    condition     = can(regex("^db\\.[a-z0-9]+\\.[a-z0-9]+$", var.instance_class))
    error_message = "The size of a database is written as db.t4g.medium."
  }
}

variable "storage_gib" {
  description = "Size of the disk at first, and up to which it grows by itself."
  type        = object({ first = optional(number, 50), most = optional(number, 500) })
  default     = {}

  validation {
    # Amazon RDS User Guide, "gp3 storage" (20 to 65,536 GiB) and "storage autoscaling" (10 % more at least).
    condition     = var.storage_gib.first >= 20 && var.storage_gib.most >= 1.1 * var.storage_gib.first && var.storage_gib.most <= 65536
    error_message = "A disk has 20 GiB at least at first, and grows to a tenth more at least and 65536 GiB at most."
  }
}

variable "multi_az" {
  description = "Whether a second database stands by in another zone, for twice the price."
  type        = bool
  default     = false
}

variable "backup_days" {
  description = "For how many days each second of the registry can be brought back."
  type        = number
  default     = 14

  validation {
    # RDS API, CreateDBInstance: 0 (none) to 35.
    condition     = var.backup_days >= 7 && var.backup_days <= 35
    error_message = "Backups are kept for 7 to 35 days."
  }
}

variable "monitoring_seconds" {
  description = "How often the load of its machine is written to CloudWatch Logs, into a group that RDS makes for the whole account, without our key; 0 for never."
  type        = number
  default     = 0

  validation {
    # RDS API, CreateDBInstance.
    condition     = contains([0, 1, 5, 10, 15, 30, 60], var.monitoring_seconds)
    error_message = "The load is written every 1, 5, 10, 15, 30 or 60 seconds, or never, 0."
  }
}

variable "deletion_protection" {
  description = "Whether AWS refuses to end the database; off where the first of the two switches that end data is on."
  type        = bool
  default     = true
}
