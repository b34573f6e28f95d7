variable "name" {
  description = "Name of the cluster that is watched."
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
  description = "ARN of the key that encrypts logs and messages."
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

variable "emails" {
  description = "Who is told when something is wrong."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for email in var.emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", email))])
    error_message = "Each of emails is an address, such as ops@example.org."
  }
}

variable "max_hourly_usd" {
  description = "What all nodes together may cost an hour: the alarm comes at nine tenths of it."
  type        = number

  validation {
    condition     = var.max_hourly_usd > 0
    error_message = "The max_hourly_usd of a cluster is above 0."
  }
}
