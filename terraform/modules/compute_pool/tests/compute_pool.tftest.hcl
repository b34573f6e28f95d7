mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan
}

variables {
  name                 = "survey"
  pool                 = "small"
  tags                 = { CostCenter = "42", "lsstpipe:cluster" = "other" }
  kms_key_arn          = "arn:aws:kms:us-east-1:123456789012:key/1"
  image_id             = "ami-0a"
  instance_profile_arn = "arn:aws:iam::123456789012:instance-profile/lsstpipe/survey-compute"
  security_group_ids   = ["sg-0a"]
  user_data            = "#!/bin/sh"
}

run "describes_a_node_that_is_private_and_ends" {
  command = plan

  assert {
    condition     = one(aws_launch_template.this.metadata_options).http_tokens == "required" && one(aws_launch_template.this.metadata_options).http_put_response_hop_limit == 1
    error_message = "The metadata service wants a token and answers the node itself only."
  }
  assert {
    condition     = one(aws_launch_template.this.metadata_options).instance_metadata_tags == "enabled"
    error_message = "A node can read its name."
  }
  assert {
    condition     = one(aws_launch_template.this.network_interfaces).associate_public_ip_address == "false"
    error_message = "A node has no public address."
  }
  assert {
    condition     = one(one(aws_launch_template.this.block_device_mappings).ebs).encrypted == "true" && one(one(aws_launch_template.this.block_device_mappings).ebs).kms_key_id == var.kms_key_arn
    error_message = "Its disk is encrypted with the key that was given."
  }
  assert {
    condition     = one(one(aws_launch_template.this.block_device_mappings).ebs).delete_on_termination == "true" && aws_launch_template.this.instance_initiated_shutdown_behavior == "terminate"
    error_message = "A node that shuts down leaves nothing that costs money."
  }
}

run "tags_whatever_is_launched" {
  command = plan

  assert {
    condition     = toset([for specification in aws_launch_template.this.tag_specifications : specification.resource_type]) == toset(["instance", "volume", "network-interface"])
    error_message = "Instances, disks and interfaces are tagged."
  }
  assert {
    condition     = alltrue([for specification in aws_launch_template.this.tag_specifications : specification.tags["lsstpipe:cluster"] == "survey" && specification.tags["CostCenter"] == "42"])
    error_message = "A tag of the user cannot hide a node from its cluster."
  }
  assert {
    condition     = aws_launch_template.this.name == "survey-small" && base64decode(aws_launch_template.this.user_data) == "#!/bin/sh"
    error_message = "The template has the name of the pool, and what a node does when it starts."
  }
}
