locals {
  tags = merge(var.tags, {
    Name               = "${var.name}-head"
    "lsstpipe:cluster" = var.name
    "lsstpipe:role"    = "head"
  })
}

# Its address stays when the machine is replaced: slurm.conf names it.
resource "aws_network_interface" "this" {
  subnet_id       = var.place.subnet_id
  security_groups = var.security_group_ids
  description     = "Head node of cluster ${var.name}"
  tags            = local.tags
}

# Slurm's state and its accounts outlive the machine.
resource "aws_ebs_volume" "state" {
  availability_zone = var.place.zone
  type              = "gp3"
  size              = var.state_gib
  encrypted         = true
  kms_key_id        = var.kms_key_arn
  final_snapshot    = true
  tags              = merge(local.tags, { Name = "${var.name}-state" })
}

resource "aws_volume_attachment" "state" {
  device_name                    = "/dev/sdf"
  volume_id                      = aws_ebs_volume.state.id
  instance_id                    = aws_instance.this.id
  stop_instance_before_detaching = true
}

resource "aws_instance" "this" {
  ami                                  = var.image_id
  instance_type                        = var.instance_type
  iam_instance_profile                 = var.instance_profile
  ebs_optimized                        = true
  monitoring                           = true
  instance_initiated_shutdown_behavior = "stop"

  user_data                   = replace(var.user_data, "STATE_VOLUME", aws_ebs_volume.state.id)
  user_data_replace_on_change = false

  primary_network_interface {
    network_interface_id = aws_network_interface.this.id
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "enabled"
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = var.root_gib
    encrypted   = true
    kms_key_id  = var.kms_key_arn
    tags        = merge(local.tags, { Name = "${var.name}-head" })
  }

  tags = local.tags

  lifecycle {
    # A new image or a new script would be another machine, amid the jobs of all users. Who wants that says so:
    # terraform apply -replace=module.head_node.aws_instance.this
    ignore_changes = [ami, user_data]
  }
}

resource "aws_cloudwatch_metric_alarm" "ill" {
  alarm_name          = "${var.name}-head-ill"
  alarm_description   = "The head node does not answer: nothing is started, what runs goes on. EC2 restarts it when its host has failed."
  namespace           = "AWS/EC2"
  metric_name         = "StatusCheckFailed"
  dimensions          = { InstanceId = aws_instance.this.id }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "breaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
  tags                = local.tags
}
