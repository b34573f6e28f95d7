locals {
  # What head node and nodes do with data. Nothing of it is ever deleted by them: that takes a person.
  data = [
    {
      Sid      = "ReadData"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = ["${var.bucket_arns.raw}/*", "${var.bucket_arns.products}/*"]
    },
    {
      Sid      = "ListData"
      Effect   = "Allow"
      Action   = ["s3:ListBucket"]
      Resource = [var.bucket_arns.raw, var.bucket_arns.products]
    },
    {
      Sid      = "WriteProducts"
      Effect   = "Allow"
      Action   = ["s3:AbortMultipartUpload", "s3:PutObject"]
      Resource = ["${var.bucket_arns.products}/*"]
    },
    {
      Sid      = "UseKey"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = [var.kms_key_arn]
    },
  ]

  # Streams are named by the kind of machine: a node never speaks for the head node, whose events alarms are made of.
  logs = { for role in ["head", "compute"] : role => [{
    Sid      = "WriteLogs"
    Effect   = "Allow"
    Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    Resource = [for arn in var.log_group_arns : "${arn}:log-stream:${role}/*"]
  }] }

  # What only nodes do: take the key that the head node shares, and hear whether its reaper lives.
  compute = [
    {
      Sid      = "TakeKey"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = ["${var.bucket_arns.config}/clusters/${var.name}/auth/*"]
    },
    {
      Sid      = "HearReaper"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = ["${var.bucket_arns.config}/clusters/${var.name}/heartbeat"]
    },
  ]

  # What only the head node does: it alone has the configuration, speaks with the registry, keeps accounts, and lets people in.
  head = [
    {
      Sid      = "ReadConfiguration"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = ["${var.bucket_arns.config}/clusters/${var.name}/*"]
    },
    {
      Sid      = "Registry"
      Effect   = "Allow"
      Action   = ["rds-db:connect"]
      Resource = ["arn:${local.partition}:rds-db:${var.account.region}:${var.account.id}:dbuser:${var.registry.resource_id}/${var.registry.user}"]
    },
    {
      Sid      = "DumpAccounts"
      Effect   = "Allow"
      Action   = ["s3:AbortMultipartUpload", "s3:PutObject"]
      Resource = ["${var.bucket_arns.config}/clusters/${var.name}/accounts/*"]
    },
    {
      Sid      = "GiveSignOfLife"
      Effect   = "Allow"
      Action   = ["s3:PutObject"]
      Resource = ["${var.bucket_arns.config}/clusters/${var.name}/heartbeat"]
    },
    {
      Sid      = "ShareKey"
      Effect   = "Allow"
      Action   = ["s3:PutObject"]
      Resource = ["${var.bucket_arns.config}/clusters/${var.name}/auth/*"]
    },
    {
      Sid      = "BudgetFlag"
      Effect   = "Allow"
      Action   = ["sqs:DeleteMessage", "sqs:ReceiveMessage"]
      Resource = [var.budget_queue_arn]
    },
    {
      # Shells come by Systems Manager, which knows no resources for these ("AWS managed policy: AmazonSSMManagedInstanceCore").
      Sid    = "Shell"
      Effect = "Allow"
      Action = [
        "ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
      ]
      Resource = "*"
    },
  ]
}
