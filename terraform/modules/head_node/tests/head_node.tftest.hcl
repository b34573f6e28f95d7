mock_provider "aws" {
  source          = "../../mocks"
  override_during = plan

  override_resource {
    target = aws_ebs_volume.state
    values = { id = "vol-0a" }
  }
}

variables {
  name               = "survey"
  kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/1"
  image_id           = "ami-0a"
  place              = { subnet_id = "subnet-0a", zone = "us-east-1a" }
  security_group_ids = ["sg-0a"]
  instance_profile   = "survey-head"
  user_data          = "#!/bin/sh\nvolume=STATE_VOLUME\n"
  alarm_topic_arn    = "arn:aws:sns:us-east-1:123456789012:survey-alarms"
}

run "is_private_and_encrypted" {
  command = plan

  assert {
    condition     = one(aws_instance.this.metadata_options).http_tokens == "required" && one(aws_instance.this.metadata_options).http_put_response_hop_limit == 1
    error_message = "The metadata service wants a token and answers the machine itself only."
  }
  assert {
    condition     = one(aws_instance.this.root_block_device).encrypted && one(aws_instance.this.root_block_device).kms_key_id == var.kms_key_arn
    error_message = "Its disk is encrypted with the key that was given."
  }
  assert {
    condition     = aws_ebs_volume.state.encrypted && aws_ebs_volume.state.kms_key_id == var.kms_key_arn
    error_message = "So is the disk with Slurm's state."
  }
  assert {
    condition     = aws_network_interface.this.security_groups == toset(["sg-0a"])
    error_message = "Its interface has the groups that were given."
  }
}

run "keeps_what_it_knows" {
  command = plan

  assert {
    condition     = aws_ebs_volume.state.final_snapshot && aws_ebs_volume.state.availability_zone == "us-east-1a"
    error_message = "The disk is in the zone of the machine and leaves a snapshot."
  }
  assert {
    condition     = aws_volume_attachment.state.volume_id == "vol-0a" && aws_volume_attachment.state.stop_instance_before_detaching
    error_message = "The disk is taken from a machine that has stopped writing."
  }
  assert {
    condition     = aws_instance.this.user_data == "#!/bin/sh\nvolume=vol-0a\n"
    error_message = "The machine is told which disk is its own."
  }
  assert {
    condition     = aws_instance.this.instance_initiated_shutdown_behavior == "stop"
    error_message = "A head node that shuts down is not gone."
  }
}

run "is_no_node" {
  command = plan

  assert {
    condition     = aws_instance.this.tags["lsstpipe:role"] == "head" && aws_instance.this.tags["lsstpipe:cluster"] == "survey"
    error_message = "What ends nodes never ends the head node."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.ill.treat_missing_data == "breaching" && aws_cloudwatch_metric_alarm.ill.alarm_actions == toset([var.alarm_topic_arn])
    error_message = "A machine that says nothing is ill."
  }
}
