data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

# Load of the machine below the database, if it is wanted. RDS writes it to the group RDSOSMetrics, one of the account for all
# its databases: RDS makes it without our key and keeps it for 30 days (Amazon RDS User Guide, "Viewing OS metrics using
# CloudWatch Logs"). Made here, it would be there twice where an account has two sites, and end with the first that ends. So it
# is off: each log that a site has is one that is made here, with its key. Performance Insights tells which queries wait for what.
resource "aws_iam_role" "monitoring" {
  count = var.monitoring_seconds > 0 ? 1 : 0

  name_prefix = "${var.name}-db-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Monitoring"
      Effect    = "Allow"
      Principal = { Service = "monitoring.rds.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  count = var.monitoring_seconds > 0 ? 1 : 0

  role       = aws_iam_role.monitoring[0].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}
