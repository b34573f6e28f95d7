variables {
  name        = "survey"
  account     = { id = "123456789012", region = "us-east-1" }
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1"
  launch = {
    launch_template_ids = ["lt-01"]
    image_ids           = ["ami-01"]
    subnet_ids          = ["subnet-01"]
    security_group_ids  = ["sg-01"]
    role_arn            = "arn:aws:iam::123456789012:role/lsstpipe/survey-compute"
  }
  bucket_arns      = { raw = "arn:aws:s3:::s-raw", products = "arn:aws:s3:::s-products", config = "arn:aws:s3:::s-config" }
  registry         = { resource_id = "db-ABC1" }
  log_group_arns   = ["arn:aws:logs:us-east-1:123456789012:log-group:/lsstpipe/survey/head"]
  budget_queue_arn = "arn:aws:sqs:us-east-1:123456789012:survey-budget-spent"
}

run "allows_little" {
  command = plan

  assert {
    condition     = length([for statement in concat(jsondecode(output.head_json).Statement, jsondecode(output.compute_json).Statement) : 1 if strcontains(jsonencode(statement.Action), "*")]) == 0
    error_message = "Each action is named."
  }
  assert {
    condition     = toset([for statement in jsondecode(output.head_json).Statement : statement.Sid if statement.Resource == "*"]) == toset(["Look", "Shell"])
    error_message = "Only what AWS knows no resources for is allowed on all of them."
  }
  assert {
    condition     = length(regexall("Delete(Object|Bucket)|PutBucket|PutObjectAcl", "${output.head_json}${output.compute_json}")) == 0
    error_message = "Nobody deletes data or opens a bucket."
  }
  assert {
    condition     = length(regexall("ec2:|iam:|rds-db:|ssm", output.compute_json)) == 0
    error_message = "Nodes launch nothing, give no roles, and do not speak with the registry."
  }
  assert {
    condition     = regexall("iam:\\w+", output.head_json) == tolist(["iam:PassRole", "iam:PassedToService"])
    error_message = "The head node changes no rights."
  }
  assert {
    condition     = jsondecode(output.trust_json).Statement[0].Principal == { Service = "ec2.amazonaws.com" }
    error_message = "Only instances take the roles."
  }
}

run "launches_and_ends_nodes_of_the_cluster_alone" {
  command = plan

  assert {
    condition     = one([for statement in jsondecode(output.head_json).Statement : statement.Condition.StringEquals if statement.Sid == "EndOurs"]) == { "aws:ResourceTag/lsstpipe:cluster" = "survey", "aws:ResourceTag/lsstpipe:role" = "compute" }
    error_message = "Only nodes of the cluster are ended, never the head node."
  }
  assert {
    condition     = one([for statement in jsondecode(output.head_json).Statement : statement.Condition.StringEquals["aws:RequestTag/lsstpipe:cluster"] if statement.Sid == "LaunchOurs"]) == "survey"
    error_message = "Only what is tagged is launched."
  }
  assert {
    condition     = one([for statement in jsondecode(output.head_json).Statement : statement.Resource if statement.Sid == "LaunchWith"]) == ["arn:aws:ec2:us-east-1:123456789012:launch-template/lt-01", "arn:aws:ec2:us-east-1:123456789012:subnet/subnet-01", "arn:aws:ec2:us-east-1:123456789012:security-group/sg-01", "arn:aws:ec2:us-east-1::image/ami-01", "arn:aws:ec2:us-east-1:123456789012:spot-instances-request/*"]
    error_message = "Nodes are launched with what the cluster has."
  }
  assert {
    condition     = one([for statement in jsondecode(output.head_json).Statement : statement if statement.Sid == "GiveNodesTheirRole"]).Resource == [var.launch.role_arn] && one([for statement in jsondecode(output.head_json).Statement : statement if statement.Sid == "GiveNodesTheirRole"]).Condition.StringEquals["iam:PassedToService"] == "ec2.amazonaws.com"
    error_message = "Nodes get one role, and only EC2 gives it."
  }
  assert {
    condition     = strcontains(output.head_json, "arn:aws:rds-db:us-east-1:123456789012:dbuser:db-ABC1/lsstpipe")
    error_message = "The head node is one user of one registry."
  }
}

run "lets_each_kind_of_machine_write_its_own_logs" {
  command = plan

  assert {
    condition     = one([for statement in jsondecode(output.head_json).Statement : statement.Resource if statement.Sid == "WriteLogs"]) == ["arn:aws:logs:us-east-1:123456789012:log-group:/lsstpipe/survey/head:log-stream:head/*"]
    error_message = "The head node writes into its own streams."
  }
  assert {
    condition     = one([for statement in jsondecode(output.compute_json).Statement : statement.Resource if statement.Sid == "WriteLogs"]) == ["arn:aws:logs:us-east-1:123456789012:log-group:/lsstpipe/survey/head:log-stream:compute/*"]
    error_message = "A node does not write in the name of the head node."
  }
}

run "says_the_partition_in_every_arn" {
  command = plan
  variables {
    account     = { partition = "aws-cn", id = "123456789012", region = "cn-north-1" }
    kms_key_arn = "arn:aws-cn:kms:cn-north-1:123456789012:key/1"
    launch = {
      launch_template_ids = ["lt-01"], image_ids = ["ami-01"], subnet_ids = ["subnet-01"], security_group_ids = ["sg-01"]
      role_arn            = "arn:aws-cn:iam::123456789012:role/lsstpipe/survey-compute"
    }
    bucket_arns      = { raw = "arn:aws-cn:s3:::s-raw", products = "arn:aws-cn:s3:::s-products", config = "arn:aws-cn:s3:::s-config" }
    log_group_arns   = ["arn:aws-cn:logs:cn-north-1:123456789012:log-group:/lsstpipe/survey/head"]
    budget_queue_arn = "arn:aws-cn:sqs:cn-north-1:123456789012:survey-budget-spent"
  }

  assert {
    condition     = !strcontains("${output.head_json}${output.compute_json}", "arn:aws:")
    error_message = "No ARN is of another partition."
  }
}
