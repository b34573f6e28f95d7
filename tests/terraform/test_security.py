"""What the example `complete` makes is private, encrypted, tagged, logged, and allowed little."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.terraform.stand_in import Resource, Roots

pytestmark = pytest.mark.xdist_group("terraform")

# Where a resource that keeps something says with which key.
KEYS: dict[str, tuple[str, ...]] = {
    "aws_cloudwatch_log_group": ("kms_key_id",),
    "aws_db_instance": (
        "kms_key_id",
        "master_user_secret_kms_key_id",
        "performance_insights_kms_key_id",
    ),
    "aws_ebs_volume": ("kms_key_id",),
    "aws_instance": ("root_block_device.0.kms_key_id",),
    "aws_launch_template": ("block_device_mappings.0.ebs.0.kms_key_id",),
    "aws_s3_bucket_server_side_encryption_configuration": (
        "rule.0.apply_server_side_encryption_by_default.0.kms_master_key_id",
    ),
    "aws_s3_object": ("kms_key_id",),
    "aws_scheduler_schedule": ("kms_key_arn",),
    "aws_sns_topic": ("kms_master_key_id",),
    "aws_sqs_queue": ("kms_master_key_id",),
}

# What keeps nothing of ours, or says with which key elsewhere.
KEEPS_NOTHING = {
    "aws_budgets_budget",
    "aws_cloudwatch_dashboard",
    "aws_cloudwatch_log_metric_filter",
    "aws_cloudwatch_metric_alarm",
    "aws_db_parameter_group",
    "aws_db_subnet_group",
    "aws_default_security_group",
    "aws_flow_log",
    "aws_fsx_data_repository_association",
    "aws_fsx_lustre_file_system",  # SCRATCH_2 takes no key of ours; FSx encrypts it with its own
    "aws_iam_instance_profile",
    "aws_iam_role",
    "aws_iam_role_policy",
    "aws_iam_role_policy_attachment",
    "aws_kms_alias",
    "aws_kms_key",
    "aws_network_interface",
    "aws_route_table",
    "aws_route_table_association",
    "aws_s3_bucket",
    "aws_s3_bucket_lifecycle_configuration",
    "aws_s3_bucket_logging",
    "aws_s3_bucket_notification",
    "aws_s3_bucket_ownership_controls",
    "aws_s3_bucket_policy",
    "aws_s3_bucket_public_access_block",
    "aws_s3_bucket_versioning",
    "aws_security_group",
    "aws_sns_topic_policy",
    "aws_sns_topic_subscription",
    "aws_sqs_queue_policy",
    "aws_subnet",
    "aws_volume_attachment",
    "aws_vpc",
    "aws_vpc_endpoint",
    "aws_vpc_security_group_egress_rule",
    "aws_vpc_security_group_ingress_rule",
    "terraform_data",
}

# What AWS knows no resources for (Service Authorization Reference); all but these name theirs.
ON_ALL_RESOURCES = {
    "ec2:DescribeInstances",
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}


def of_type(resources: list[Resource], kind: str) -> list[Resource]:
    found = [item for item in resources if item.type == kind]
    assert found, f"the example makes no {kind}"
    return found


def look_up(values: Any, path: str) -> Any:
    for word in path.split("."):
        values = values[int(word)] if word.isdigit() else values[word]
    return values


def statements(
    resources: list[Resource], kind: str, field: str = "policy"
) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in of_type(resources, kind):
        for statement in json.loads(item.values[field])["Statement"]:
            yield item.address, statement


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_nothing_has_a_public_address(resources: list[Resource]) -> None:
    for subnet in of_type(resources, "aws_subnet"):
        assert subnet.values["map_public_ip_on_launch"] is False
    for template in of_type(resources, "aws_launch_template"):
        interface = look_up(template.values, "network_interfaces.0")
        assert interface["associate_public_ip_address"] == "false"
    for database in of_type(resources, "aws_db_instance"):
        assert database.values["publicly_accessible"] is False
    assert not [item for item in resources if item.type in ("aws_eip", "aws_internet_gateway")]


def test_nobody_comes_in_from_outside(resources: list[Resource]) -> None:
    for rule in of_type(resources, "aws_vpc_security_group_ingress_rule"):
        assert rule.values["cidr_ipv4"] in (None, "10.20.0.0/16"), rule.address
        assert rule.values["cidr_ipv6"] is None


def test_every_bucket_is_private_and_takes_tls_only(resources: list[Resource]) -> None:
    buckets = {item.values["bucket"] for item in of_type(resources, "aws_s3_bucket")}
    private = {
        item.values["bucket"]
        for item in of_type(resources, "aws_s3_bucket_public_access_block")
        if all(
            item.values[name]
            for name in (
                "block_public_acls",
                "block_public_policy",
                "ignore_public_acls",
                "restrict_public_buckets",
            )
        )
    }
    tls_only = {
        item.values["bucket"]
        for item in of_type(resources, "aws_s3_bucket_policy")
        for statement in json.loads(item.values["policy"])["Statement"]
        if (statement["Effect"], statement["Principal"], statement["Action"])
        == ("Deny", "*", "s3:*")
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert len(buckets) == 4
    assert private == tls_only == buckets


@pytest.mark.parametrize("kind", KEYS)
def test_what_is_kept_is_encrypted_with_our_key(resources: list[Resource], kind: str) -> None:
    (key,) = of_type(resources, "aws_kms_key")
    for item in of_type(resources, kind):
        for path in KEYS[kind]:
            if item.address.endswith('_configuration.this["logs"]'):
                # S3 writes access logs to buckets with its own key only.
                assert "AES256" in json.dumps(item.values)
            else:
                assert look_up(item.values, path) == key.values["arn"], f"{item.address} {path}"


def test_of_every_kind_of_resource_it_is_known_whether_it_keeps_something(
    resources: list[Resource],
) -> None:
    assert {item.type for item in resources} <= set(KEYS) | KEEPS_NOTHING


def test_every_log_is_kept_for_a_year_and_more(resources: list[Resource]) -> None:
    for group in of_type(resources, "aws_cloudwatch_log_group"):
        assert group.values["retention_in_days"] >= 365, group.address


def test_everything_that_can_be_tagged_says_whose_it_is(resources: list[Resource]) -> None:
    tagged = [item for item in resources if "tags_all" in item.values]
    assert len(tagged) > 50
    for item in tagged:
        tags = item.values["tags_all"] or {}
        assert tags.get("CostCenter") == "42", item.address
        assert tags.get("ManagedBy", "").startswith("terraform/"), item.address
        assert {"lsstpipe:data", "lsstpipe:cluster"} & set(tags), item.address


def test_no_role_may_do_anything_to_everything(resources: list[Resource]) -> None:
    for address, statement in statements(resources, "aws_iam_role_policy"):
        assert statement["Effect"] == "Allow"
        assert not [action for action in listed(statement["Action"]) if "*" in action], address
        if "*" in listed(statement["Resource"]):
            assert set(listed(statement["Action"])) <= ON_ALL_RESOURCES, address


def test_roles_are_passed_by_name(resources: list[Resource]) -> None:
    passing = [
        statement
        for _, statement in statements(resources, "aws_iam_role_policy")
        if "iam:PassRole" in listed(statement["Action"])
    ]
    assert len(passing) == 1
    (role,) = passing[0]["Resource"]
    assert role.endswith(":role/lsstpipe/survey-compute")


def test_roles_are_taken_by_services_of_aws_alone(resources: list[Resource]) -> None:
    trust = list(statements(resources, "aws_iam_role", "assume_role_policy"))
    assert {next(iter(statement["Principal"])) for _, statement in trust} == {"Service"}


def test_roles_of_machines_stay_within_the_boundary(resources: list[Resource]) -> None:
    roles = {item.values["name"]: item.values for item in of_type(resources, "aws_iam_role")}
    for name in ("survey-head", "survey-compute"):
        assert roles[name]["permissions_boundary"] == "arn:aws:iam::123456789012:policy/limit"


@pytest.mark.parametrize(
    "kind", ["aws_s3_bucket_policy", "aws_kms_key", "aws_sns_topic_policy", "aws_sqs_queue_policy"]
)
def test_policies_allow_strangers_nothing(resources: list[Resource], kind: str) -> None:
    for address, statement in statements(resources, kind):
        if statement["Effect"] == "Allow" and statement["Principal"] in ("*", {"AWS": "*"}):
            only = statement["Condition"]["StringEquals"]
            assert only["kms:CallerAccount"] == "123456789012", address
        if statement["Effect"] == "Allow" and "Service" in statement["Principal"]:
            assert statement["Condition"], address


def test_machines_want_a_token_for_their_metadata(resources: list[Resource]) -> None:
    for kind in ("aws_instance", "aws_launch_template"):
        for item in of_type(resources, kind):
            options = look_up(item.values, "metadata_options.0")
            assert (options["http_tokens"], options["http_put_response_hop_limit"]) == (
                "required",
                1,
            )


def test_no_secret_is_in_the_state(complete: Roots, resources: list[Resource]) -> None:
    for database in of_type(resources, "aws_db_instance"):
        assert database.values["password"] is None
    for root in ("data", "cluster"):
        assert "PRIVATE KEY" not in complete.terraform(root, "show", "-json")
