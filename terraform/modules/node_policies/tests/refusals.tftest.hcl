# Each validation refuses what it is there for; each run changes one thing of what is allowed.
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

run "refuses_a_name_with_capitals" {
  command = plan
  variables { name = "Survey" }
  expect_failures = [var.name]
}

run "refuses_an_account_of_eleven_digits" {
  command = plan
  variables { account = { id = "12345678901", region = "us-east-1" } }
  expect_failures = [var.account]
}

run "refuses_a_key_without_its_arn" {
  command = plan
  variables { kms_key_arn = "alias/lsstpipe" }
  expect_failures = [var.kms_key_arn]
}

run "refuses_any_image" {
  command = plan
  variables { launch = merge(var.launch, { image_ids = ["*"] }) }
  expect_failures = [var.launch]
}

run "refuses_any_role" {
  command = plan
  variables { launch = merge(var.launch, { role_arn = "arn:aws:iam::123456789012:role/*" }) }
  expect_failures = [var.launch]
}

run "refuses_the_name_of_a_bucket" {
  command = plan
  variables { bucket_arns = { raw = "s-raw", products = "arn:aws:s3:::s-products", config = "arn:aws:s3:::s-config" } }
  expect_failures = [var.bucket_arns]
}

run "refuses_the_name_of_a_database" {
  command = plan
  variables { registry = { resource_id = "survey-registry" } }
  expect_failures = [var.registry]
}

run "refuses_nodes_without_logs" {
  command = plan
  variables { log_group_arns = [] }
  expect_failures = [var.log_group_arns]
}
