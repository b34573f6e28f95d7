variable "name" {
  description = "Name of the data; with the number of the account it makes the names of the buckets."
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
  description = "ARN of the key that encrypts raw frames, products and configuration."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "The key is given by its ARN, arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "pipeline_role_path" {
  description = "IAM path of the roles that may read and write data under embargo."
  type        = string
  default     = "/lsstpipe/"

  validation {
    condition     = can(regex("^/([A-Za-z0-9_-]+/)+$", var.pipeline_role_path))
    error_message = "An IAM path begins and ends with a slash and is not the slash alone, such as /lsstpipe/."
  }
}

variable "raw_days" {
  description = "After how many days raw frames go to cheaper storage: infrequent access, then archive with instant retrieval."
  type        = object({ infrequent = optional(number, 60), archive = optional(number, 365) })
  default     = {}

  validation {
    # Amazon S3 User Guide, "Lifecycle transition general considerations": 30 days in STANDARD before STANDARD_IA, 30 there.
    condition     = var.raw_days.infrequent >= 30 && var.raw_days.archive >= var.raw_days.infrequent + 30
    error_message = "Raw frames stay 30 days at least in each class: infrequent is 30 or more, archive 30 more than that."
  }
}

variable "undelete_days" {
  description = "For how many days what was overwritten or deleted can be brought back."
  type        = number
  default     = 90

  validation {
    # As long as the longest campaign: a product lost at its begin is missed at its end.
    condition     = var.undelete_days >= 30
    error_message = "What was deleted can be brought back for 30 days at least: a loss is often seen only when a campaign ends."
  }
}

variable "access_log_days" {
  description = "For how many days it is kept who read and wrote."
  type        = number
  default     = 400

  validation {
    condition     = var.access_log_days >= 365
    error_message = "It is kept for 365 days at least who read and wrote."
  }
}

variable "force_destroy" {
  description = "Whether buckets may be destroyed with what they hold. First of the two switches that end data."
  type        = bool
  default     = false
}
