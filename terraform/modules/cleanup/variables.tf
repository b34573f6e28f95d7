variable "name" {
  description = "Name of the cluster whose nodes are ended."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.name))
    error_message = "A name begins with a small letter and has at most 31 small letters, digits and hyphens."
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

variable "before" {
  description = "Ids of what nodes hold on to: subnets, security groups. Nodes are ended before it goes."
  type        = list(string)
}
