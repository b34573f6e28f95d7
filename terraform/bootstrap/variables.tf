variable "name" {
  description = "Name of what is built: names of the state's bucket and key begin with it."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.name))
    error_message = "A name begins with a small letter and has at most 31 small letters, digits and hyphens."
  }
}

variable "region" {
  description = "AWS region of the state."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region is written as us-east-1."
  }
}

variable "tags" {
  description = "Tags of all that is made here."
  type        = map(string)
  default     = {}
}

variable "ci" {
  description = "Who may read the state from a CI service, without a key of AWS: the issuer's URL, the audience and the subjects of its tokens, and the policies that a plan needs; null for nobody."
  type = object({
    issuer      = optional(string, "https://token.actions.githubusercontent.com")
    audience    = optional(string, "sts.amazonaws.com")
    subjects    = list(string)
    policy_arns = optional(list(string), [])
  })
  default = null

  validation {
    # A token of any repository of that service would do.
    condition     = var.ci == null ? true : length(var.ci.subjects) > 0 && alltrue([for subject in var.ci.subjects : can(regex("^repo:[^*/:]+/[^*/:]+:", subject))])
    error_message = "A subject names one repository, such as repo:owner/name:ref:refs/heads/main."
  }
}
