variable "name" {
  description = "Name of the role and of the instance profile."
  type        = string

  validation {
    # IAM API, CreateRole: 64 characters at most.
    condition     = can(regex("^[a-z][a-z0-9-]{0,63}$", var.name))
    error_message = "The name of a role begins with a small letter and has at most 64 small letters, digits and hyphens."
  }
}

variable "tags" {
  description = "Tags of all that is made here."
  type        = map(string)
  default     = {}
}

variable "path" {
  description = "IAM path of the role: policies of buckets admit roles by it."
  type        = string
  default     = "/lsstpipe/"

  validation {
    condition     = can(regex("^/([A-Za-z0-9_-]+/)+$", var.path))
    error_message = "An IAM path begins and ends with a slash and is not the slash alone, such as /lsstpipe/."
  }
}

variable "trust_json" {
  description = "Who may take the role."
  type        = string
}

variable "policy_json" {
  description = "What it may do."
  type        = string

  validation {
    # IAM quotas: inline policies of a role have 10,240 characters together, blanks not counted.
    condition     = length(replace(var.policy_json, "/\\s/", "")) <= 10240
    error_message = "What a role may do has 10240 characters at most."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of a policy that the role never goes beyond; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null ? true : can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/", var.permissions_boundary_arn))
    error_message = "The boundary is given by the ARN of a policy, arn:aws:iam::ACCOUNT:policy/NAME."
  }
}
