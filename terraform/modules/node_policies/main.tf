locals {
  partition = var.account.partition
  ec2       = "arn:${local.partition}:ec2:${var.account.region}:${var.account.id}"
  ours      = { "aws:ResourceTag/lsstpipe:cluster" = var.name, "aws:ResourceTag/lsstpipe:role" = "compute" }
  launched  = ["${local.ec2}:instance/*", "${local.ec2}:volume/*", "${local.ec2}:network-interface/*"]
  used = concat(
    [for id in var.launch.launch_template_ids : "${local.ec2}:launch-template/${id}"],
    [for id in var.launch.subnet_ids : "${local.ec2}:subnet/${id}"],
    [for id in var.launch.security_group_ids : "${local.ec2}:security-group/${id}"],
    # Images belong to no account in their ARNs.
    [for id in var.launch.image_ids : "arn:${local.partition}:ec2:${var.account.region}::image/${id}"],
    # What stands for a place on the Spot market; it has no name before.
    ["${local.ec2}:spot-instances-request/*"],
  )

  # What lsstpipe cluster does: look, launch, name, end. (Service Authorization Reference, "Amazon EC2".)
  launching = [
    {
      # EC2 knows no smaller right to look.
      Sid      = "Look"
      Effect   = "Allow"
      Action   = ["ec2:DescribeInstances"]
      Resource = "*"
    },
    {
      Sid      = "LaunchWith"
      Effect   = "Allow"
      Action   = ["ec2:CreateFleet", "ec2:RunInstances"]
      Resource = local.used
    },
    {
      Sid      = "AskForFleet"
      Effect   = "Allow"
      Action   = ["ec2:CreateFleet"]
      Resource = ["${local.ec2}:fleet/*"]
    },
    {
      # Nothing is launched that does not say whose it is: the reaper would not find it.
      Sid       = "LaunchOurs"
      Effect    = "Allow"
      Action    = ["ec2:CreateFleet", "ec2:RunInstances"]
      Resource  = local.launched
      Condition = { StringEquals = { "aws:RequestTag/lsstpipe:cluster" = var.name, "aws:RequestTag/lsstpipe:role" = "compute" } }
    },
    {
      Sid      = "TagWhatIsLaunched"
      Effect   = "Allow"
      Action   = ["ec2:CreateTags"]
      Resource = local.launched
      Condition = { StringEquals = {
        "ec2:CreateAction"                = ["CreateFleet", "RunInstances"]
        "aws:RequestTag/lsstpipe:cluster" = var.name
        "aws:RequestTag/lsstpipe:role"    = "compute"
      } }
    },
    {
      Sid      = "NameOurs"
      Effect   = "Allow"
      Action   = ["ec2:CreateTags"]
      Resource = ["${local.ec2}:instance/*"]
      Condition = {
        StringEquals                = local.ours
        "ForAllValues:StringEquals" = { "aws:TagKeys" = ["Name", "lsstpipe:node"] }
      }
    },
    {
      Sid       = "EndOurs"
      Effect    = "Allow"
      Action    = ["ec2:TerminateInstances"]
      Resource  = ["${local.ec2}:instance/*"]
      Condition = { StringEquals = local.ours }
    },
    {
      Sid       = "GiveNodesTheirRole"
      Effect    = "Allow"
      Action    = ["iam:PassRole"]
      Resource  = [var.launch.role_arn]
      Condition = { StringEquals = { "iam:PassedToService" = "ec2.amazonaws.com" } }
    },
    {
      # Disks of nodes are encrypted with our key. (Amazon EBS User Guide, "Requirements for Amazon EBS encryption".)
      Sid      = "EncryptDisks"
      Effect   = "Allow"
      Action   = ["kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
      Resource = [var.kms_key_arn]
    },
    {
      Sid       = "GrantDisks"
      Effect    = "Allow"
      Action    = ["kms:CreateGrant"]
      Resource  = [var.kms_key_arn]
      Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
    },
  ]
}
