variable "name" {
  description = "Name of what the key is for; its alias is made of it."
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

variable "deletion_window_days" {
  description = "How long a deleted key can be brought back, and with it all that it encrypts."
  type        = number
  default     = 30

  validation {
    # AWS KMS API, ScheduleKeyDeletion.
    condition     = var.deletion_window_days >= 7 && var.deletion_window_days <= 30
    error_message = "A deleted key can be brought back for 7 to 30 days."
  }
}

variable "services_use_it" {
  description = "Whether services of AWS use it for log groups, messages, Lustre and disks; otherwise only who the account allows does."
  type        = bool
  default     = true
}
