# A role that a CI service takes with its own token, to plan: it reads the state and what the policies say, and changes nothing.
locals {
  ci     = var.ci == null ? {} : { ci = var.ci }
  issuer = { for key, ci in local.ci : key => trimprefix(ci.issuer, "https://") }
}

resource "aws_iam_openid_connect_provider" "this" {
  for_each = local.ci

  url            = each.value.issuer
  client_id_list = [each.value.audience]
}

resource "aws_iam_role" "ci" {
  for_each = local.ci

  name = "${var.name}-plan"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Tokens"
      Effect    = "Allow"
      Principal = { Federated = aws_iam_openid_connect_provider.this[each.key].arn }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = { "${local.issuer[each.key]}:aud" = each.value.audience }
        StringLike   = { "${local.issuer[each.key]}:sub" = each.value.subjects }
      }
    }]
  })
}

resource "aws_iam_role_policy" "ci" {
  for_each = local.ci

  name = "read-state"
  role = aws_iam_role.ci[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "List", Effect = "Allow", Action = "s3:ListBucket", Resource = local.arn },
      { Sid = "Read", Effect = "Allow", Action = "s3:GetObject", Resource = "${local.arn}/lsstpipe/*" },
      { Sid = "Decrypt", Effect = "Allow", Action = "kms:Decrypt", Resource = module.key.arn },
    ]
  })
}

resource "aws_iam_role_policy_attachment" "ci" {
  for_each = merge([for key, ci in local.ci : { for arn in ci.policy_arns : arn => key }]...)

  role       = aws_iam_role.ci[each.value].name
  policy_arn = each.key
}
