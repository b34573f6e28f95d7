variable "name" {
  description = "Name of the cluster, or of the data, that the file system is for."
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
  description = "ARN of the key that encrypts logs, and a persistent file system; a scratch one has a key of FSx."
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

variable "subnet_id" {
  description = "The subnet of the file system: nodes in other zones pay for what they read."
  type        = string
}

variable "clients" {
  description = "Security groups that may mount it, by what they are for."
  type        = map(string)
}

variable "deployment_type" {
  description = "SCRATCH_2, for weeks and gone with the cluster, or PERSISTENT_2, which cannot be destroyed."
  type        = string
  default     = "SCRATCH_2"

  validation {
    # FSx API, CreateFileSystemLustreConfiguration; SCRATCH_1 takes no links to S3, and PERSISTENT_1 is older and dearer.
    condition     = contains(["SCRATCH_2", "PERSISTENT_2"], var.deployment_type)
    error_message = "The file system is SCRATCH_2 or PERSISTENT_2."
  }
}

variable "storage_gib" {
  description = "Size. It can grow; less would be another file system."
  type        = number
  default     = 1200

  validation {
    # FSx API, CreateFileSystem, StorageCapacity of SSD.
    condition     = var.storage_gib == 1200 || (var.storage_gib >= 2400 && var.storage_gib % 2400 == 0)
    error_message = "A file system has 1200 GiB, 2400 GiB or a multiple of that."
  }
}

variable "throughput" {
  description = "MB/s for each TiB of a persistent file system; a scratch one has 200."
  type        = number
  default     = null

  validation {
    # FSx API, PerUnitStorageThroughput of PERSISTENT_2 SSD.
    condition     = var.throughput == null ? true : contains([125, 250, 500, 1000], var.throughput)
    error_message = "A persistent file system has 125, 250, 500 or 1000 MB/s for each TiB."
  }
  validation {
    condition     = (var.deployment_type == "PERSISTENT_2") == (var.throughput != null)
    error_message = "A persistent file system needs its throughput; a scratch one takes none."
  }
}

variable "links" {
  description = "What of S3 is seen below /raw, to be read, and where goes what is written below /products: both as s3://BUCKET/PREFIX."
  type        = object({ raw = string, products = string })

  validation {
    condition     = alltrue([for uri in [var.links.raw, var.links.products] : can(regex("^s3://[a-z0-9.-]{3,63}(/[^/]+)*/?$", uri))])
    error_message = "A link is written as s3://BUCKET/PREFIX."
  }
  validation {
    # What came in by one link would go out by the other.
    condition     = var.links.raw != var.links.products
    error_message = "The links of /raw and /products lead to different places."
  }
}

variable "release_days" {
  description = "After how many days without use a file that is in S3, too, makes room; null for never."
  type        = number
  default     = 7

  validation {
    condition     = var.release_days == null ? true : var.release_days >= 1
    error_message = "A file makes room after a day without use at least."
  }
}
