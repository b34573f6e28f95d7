variable "name" {
  description = "Name of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.name))
    error_message = "A name begins with a small letter and has at most 31 small letters, digits and hyphens."
  }
}

variable "pool" {
  description = "Name of the pool."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{0,15}$", var.pool))
    error_message = "The name of a pool begins with a small letter and has at most 16 small letters and digits."
  }
}

variable "tags" {
  description = "Tags of all that is made here, and of all nodes."
  type        = map(string)
  default     = {}
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts the disks."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "The key is given by its ARN, arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "image_id" {
  description = "Id of the image that nodes start from."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]+$", var.image_id))
    error_message = "An image is given by its id, such as ami-0123456789abcdef0: a name would be another image one day."
  }
}

variable "instance_profile_arn" {
  description = "ARN of the instance profile of nodes."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:instance-profile/", var.instance_profile_arn))
    error_message = "The instance profile is given by its ARN, arn:aws:iam::ACCOUNT:instance-profile/NAME."
  }
}

variable "security_group_ids" {
  description = "Security groups of nodes."
  type        = list(string)

  validation {
    # Amazon VPC quotas: five a network interface.
    condition     = length(var.security_group_ids) >= 1 && length(var.security_group_ids) <= 5
    error_message = "A node has one to five security groups."
  }
}

variable "disk_gib" {
  description = "Size of the disk of a node: the image, and what its jobs keep while they run."
  type        = number
  default     = 50

  validation {
    # Amazon EBS User Guide, gp3: 1 to 65,536 GiB; the image alone takes 20.
    condition     = var.disk_gib >= 20 && var.disk_gib <= 65536
    error_message = "The disk of a node has 20 to 65536 GiB."
  }
}

variable "user_data" {
  description = "What a node does when it starts, as plain text."
  type        = string

  validation {
    # Amazon EC2 User Guide, "Run commands when you launch an EC2 instance": 16 KB before it is encoded.
    condition     = length(var.user_data) <= 16384
    error_message = "What a node does when it starts has 16384 characters at most."
  }
}
