# What AWS would answer, for the tests of all modules. Terraform's own mocks are random text, which the
# provider refuses where it wants an ARN or JSON.
mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}
mock_data "aws_partition" {
  defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
}
mock_data "aws_region" {
  defaults = { region = "us-east-1" }
}
mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
}
mock_resource "aws_iam_instance_profile" {
  defaults = { arn = "arn:aws:iam::123456789012:instance-profile/mock" }
}
mock_resource "aws_kms_key" {
  defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-4000-8000-000000000000" }
}
mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:mock" }
}
mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws:sns:us-east-1:123456789012:mock" }
}
mock_resource "aws_sqs_queue" {
  defaults = { arn = "arn:aws:sqs:us-east-1:123456789012:mock", url = "https://sqs.us-east-1.amazonaws.com/123456789012/mock" }
}
mock_resource "aws_s3_bucket" {
  defaults = { arn = "arn:aws:s3:::mock" }
}
mock_resource "aws_db_instance" {
  defaults = {
    master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:mock" }]
  }
}
mock_resource "aws_fsx_lustre_file_system" {
  defaults = {
    id         = "fs-0a"
    arn        = "arn:aws:fsx:us-east-1:123456789012:file-system/fs-0a"
    dns_name   = "fs-0a.fsx.us-east-1.amazonaws.com"
    mount_name = "mock"
  }
}
mock_resource "aws_iam_openid_connect_provider" {
  defaults = { arn = "arn:aws:iam::123456789012:oidc-provider/mock" }
}
mock_data "aws_vpc" {
  defaults = { cidr_block = "10.0.0.0/16", enable_dns_support = true, enable_dns_hostnames = true }
}
mock_data "aws_prefix_list" {
  defaults = { id = "pl-0a" }
}
mock_data "aws_route_tables" {
  defaults = { ids = ["rtb-0a"] }
}
mock_data "aws_network_interfaces" {
  defaults = { ids = [] }
}
mock_data "aws_ec2_instance_type_offerings" {
  defaults = { instance_types = ["m7a.xlarge"], locations = ["us-east-1a"] }
}
mock_data "aws_servicequotas_service_quota" {
  defaults = { value = 640 }
}
