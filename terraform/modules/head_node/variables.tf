variable "name" {
  description = "Name of the cluster."
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
  description = "ARN of the key that encrypts disks and configuration."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "The key is given by its ARN, arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "image_id" {
  description = "Id of the image that the head node starts from; another one is taken when the head node is replaced, never by itself."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]+$", var.image_id))
    error_message = "An image is given by its id, such as ami-0123456789abcdef0: a name would be another image one day."
  }
}

variable "instance_type" {
  description = "Type of the machine: 4 GiB serve some hundred nodes."
  type        = string
  default     = "m7a.large"

  validation {
    condition     = can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", var.instance_type))
    error_message = "A type of machine is written as m7a.large."
  }
}

variable "place" {
  description = "Where it is: id of the subnet, and the availability zone of that."
  type        = object({ subnet_id = string, zone = string })
}

variable "security_group_ids" {
  description = "Its security groups."
  type        = list(string)

  validation {
    # Amazon VPC quotas: five a network interface.
    condition     = length(var.security_group_ids) >= 1 && length(var.security_group_ids) <= 5
    error_message = "The head node has one to five security groups."
  }
}

variable "instance_profile" {
  description = "Name of its instance profile."
  type        = string
}

variable "user_data" {
  description = "What it does when it starts for the first time, as plain text; the words STATE_VOLUME become the id of its disk."
  type        = string

  validation {
    # Amazon EC2 User Guide, "Run commands when you launch an EC2 instance": 16 KB before it is encoded.
    condition     = length(var.user_data) <= 16000
    error_message = "What the head node does when it starts has 16000 characters at most."
  }
}

variable "root_gib" {
  description = "Size of the disk that the machine starts from: the image, and what users keep in their homes. It can grow, never shrink."
  type        = number
  default     = 50

  validation {
    # Amazon EBS User Guide, gp3: 65,536 GiB at most; the image alone takes 20.
    condition     = var.root_gib >= 20 && var.root_gib <= 65536
    error_message = "The disk that the head node starts from has 20 to 65536 GiB."
  }
}

variable "state_gib" {
  description = "Size of the disk with Slurm's state and accounts, which outlives the machine. It can grow, never shrink."
  type        = number
  default     = 30

  validation {
    # Amazon EBS User Guide, gp3: 65,536 GiB at most.
    condition     = var.state_gib >= 10 && var.state_gib <= 65536
    error_message = "The disk with Slurm's state has 10 to 65536 GiB."
  }
}

variable "alarm_topic_arn" {
  description = "ARN of the topic that is told when the machine is ill."
  type        = string
}
