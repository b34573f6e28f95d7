variable "name" {
  description = "Name of the cluster: the value of the tag lsstpipe:cluster of its nodes."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.name))
    error_message = "A name begins with a small letter and has at most 31 small letters, digits and hyphens."
  }
}

variable "account" {
  description = "Where the cluster is: AWS partition, account, region."
  type        = object({ partition = optional(string, "aws"), id = string, region = string })

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account.id))
    error_message = "An AWS account has a number of 12 digits."
  }
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts data, disks and messages."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "The key is given by its ARN, arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "launch" {
  description = "What nodes may be launched with: ids of launch templates, images, subnets and security groups, and the ARN of their role."
  type = object({
    launch_template_ids = list(string)
    image_ids           = list(string)
    subnet_ids          = list(string)
    security_group_ids  = list(string)
    role_arn            = string
  })

  validation {
    condition     = alltrue([for ids in [var.launch.launch_template_ids, var.launch.image_ids, var.launch.subnet_ids, var.launch.security_group_ids] : length(ids) > 0 && !contains(ids, "*")])
    error_message = "Launch templates, images, subnets and security groups are each named by id, at least one and never *."
  }
  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[^*]+$", var.launch.role_arn))
    error_message = "The role of nodes is given by its ARN, arn:aws:iam::ACCOUNT:role/NAME, and is one role."
  }
}

variable "bucket_arns" {
  description = "ARNs of the buckets of raw frames, products and configuration."
  type        = object({ raw = string, products = string, config = string })

  validation {
    condition     = alltrue([for arn in values(var.bucket_arns) : can(regex("^arn:[a-z-]+:s3:::[a-z0-9.-]+$", arn))])
    error_message = "A bucket is given by its ARN, arn:aws:s3:::NAME."
  }
}

variable "registry" {
  description = "The registry: id of the database as a resource, and the user that the head node is."
  type        = object({ resource_id = string, user = optional(string, "lsstpipe") })

  validation {
    condition     = can(regex("^db-[A-Z0-9]+$", var.registry.resource_id))
    error_message = "A database's resource id is written as db-ABCDEFGHIJKL; it is not its name."
  }
}

variable "log_group_arns" {
  description = "ARNs of the log groups that head node and nodes write to."
  type        = list(string)

  validation {
    condition     = length(var.log_group_arns) > 0
    error_message = "Head node and nodes write to one log group at least: a node that ends takes its own files with it."
  }
}

variable "budget_queue_arn" {
  description = "ARN of the queue that says that the budget is spent."
  type        = string
}
