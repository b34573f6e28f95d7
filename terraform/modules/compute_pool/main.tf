locals {
  tags = merge(var.tags, {
    "lsstpipe:cluster" = var.name
    "lsstpipe:pool"    = var.pool
    "lsstpipe:role"    = "compute"
  })
}

# What a node of the pool is. It makes no instance: lsstpipe launches them when Slurm asks, of the types, in the zones and on
# the market that pools.json says.
resource "aws_launch_template" "this" {
  name                   = "${var.name}-${var.pool}"
  description            = "Nodes of pool ${var.pool} of cluster ${var.name}"
  image_id               = var.image_id
  user_data              = base64encode(var.user_data)
  update_default_version = true
  # A node that shuts itself down is gone: it must not go on to cost money as a stopped instance.
  instance_initiated_shutdown_behavior = "terminate"
  tags                                 = local.tags

  iam_instance_profile {
    arn = var.instance_profile_arn
  }

  network_interfaces {
    associate_public_ip_address = false
    delete_on_termination       = true
    security_groups             = var.security_group_ids
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # Containers and whoever forwards packets do not reach it.
    http_put_response_hop_limit = 1
    # A node learns its name from its tags.
    instance_metadata_tags = "enabled"
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_type           = "gp3"
      volume_size           = var.disk_gib
      encrypted             = true
      kms_key_id            = var.kms_key_arn
      delete_on_termination = true
    }
  }

  # What lsstpipe launches says more: job, user, campaign.
  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume", "network-interface"])
    content {
      resource_type = tag_specifications.value
      tags          = local.tags
    }
  }
}
