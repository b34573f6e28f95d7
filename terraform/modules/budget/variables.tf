variable "name" {
  description = "Name of the cluster whose costs count."
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
  description = "ARN of the key that encrypts what is said about them."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "The key is given by its ARN, arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "monthly_usd" {
  description = "What the cluster may cost a month."
  type        = number

  validation {
    condition     = var.monthly_usd >= 1
    error_message = "A month's budget is 1 USD or more."
  }
}

variable "emails" {
  description = "Who is told at half, four fifths and all of the budget, and when it will not suffice."
  type        = list(string)

  validation {
    # Budgets API, Notification: ten addresses and one topic at most.
    condition     = length(var.emails) >= 1 && length(var.emails) <= 10
    error_message = "One to ten people are told about the budget."
  }
  validation {
    condition     = alltrue([for email in var.emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", email))])
    error_message = "Each of emails is an address, such as ops@example.org."
  }
}
