"""The examples can be applied, and say in site.json what the workflow needs."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lsstpipe.cluster.prices import read_prices
from lsstpipe.site.bill import HOURS_A_MONTH, price_site
from lsstpipe.site.settings import read_settings
from tests.terraform.module_tables import TERRAFORM
from tests.terraform.stand_in import Roots, copy_roots

pytestmark = pytest.mark.xdist_group("terraform")

CONFIG = TERRAFORM.parent / "config"
SCHEMA = json.loads((CONFIG / "site.schema.json").read_text())


def site_of(roots: Roots) -> dict[str, Any]:
    site: dict[str, Any] = json.loads(roots.terraform("cluster", "output", "-json", "site"))
    return site


def faults(site: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(site)]


def test_the_example_of_site_json_is_as_its_schema_says() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    site = json.loads((CONFIG / "site.example.json").read_text())
    assert not faults(site)
    assert faults(site | {"registry": site["registry"] | {"tls": "prefer"}})
    assert faults(site | {"password": "secret"})


def test_the_complete_example_says_what_the_workflow_needs(complete: Roots) -> None:
    site = site_of(complete)
    assert not faults(site)
    assert [pool["name"] for pool in site["pools"]] == ["memory", "spot", "steady"]
    assert site["mounts"]["lustre"]["target"] == "/lustre"
    assert site["buckets"]["raw"] == "survey-123456789012-raw"


@pytest.mark.parametrize("example", ["minimal", "dev", "existing_vpc"])
def test_an_example_can_be_applied_and_is_priced_as_it_is(example: str, tmp_path: Path) -> None:
    roots = copy_roots(tmp_path)
    roots.apply(example)
    site = site_of(roots)
    assert not faults(site)
    assert list(site["mounts"]) == (["lustre"] if example == "dev" else [])
    require_true_bill(roots, example)


def test_the_complete_example_is_priced_as_it_is(complete: Roots) -> None:
    require_true_bill(complete, "complete")


def require_true_bill(roots: Roots, example: str) -> None:
    """Price what the states have, line by line, and hold the bill of `lsstpipe site cost` to it."""
    made: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in roots.resources("data") + roots.resources("cluster"):
        made[item.type].append(item.values)
    prices = read_prices("us-east-1")
    month = 1 / HOURS_A_MONTH
    (database,), (head,), (disk,) = (
        made[kind] for kind in ("aws_db_instance", "aws_instance", "aws_ebs_volume")
    )
    copies = 2 if database["multi_az"] else 1
    endpoints = [row for row in made["aws_vpc_endpoint"] if row["vpc_endpoint_type"] == "Interface"]
    interfaces = sum(len(row["subnet_ids"]) for row in endpoints)
    head_gib = head["root_block_device"][0]["volume_size"] + disk["size"]
    scratch, kept = 0.0, 0.0
    for row in made["aws_fsx_lustre_file_system"]:
        if row["deployment_type"] == "SCRATCH_2":
            scratch += row["storage_capacity"] * prices.service("lustre_gb_month")
        else:
            name = f"lustre_persistent_{row['per_unit_storage_throughput']}_gb_month"
            kept += row["storage_capacity"] * prices.service(name)
    gateway = prices.service("nat_gateway_hour") + prices.service("public_ipv4_hour")
    expected = {
        "database": copies * prices.database(database["instance_class"]),
        "disk of the database": copies * database["allocated_storage"]
        * prices.service("database_disk_gb_month") * month,
        "NAT gateway": len(made["aws_nat_gateway"]) * gateway,
        "endpoints": interfaces * prices.service("endpoint_hour"),
        # The key of the state is another root's.
        "keys and secrets": ((len(made["aws_kms_key"]) + 1) * prices.service("key_month")
        + prices.service("secret_month")) * month,
        "head node": prices.hourly(head["instance_type"], "on-demand"),
        "disks of the head node": head_gib * prices.service("disk_gb_month") * month,
        # Seven of the head node, which is watched each minute.
        "alarms and metrics": (
            len(made["aws_cloudwatch_metric_alarm"]) * prices.service("alarm_month")
            + (len(made["aws_cloudwatch_log_metric_filter"]) + 7) * prices.service("metric_month")
        ) * month,
        "Lustre": scratch * month,
        "persistent Lustre": kept * month,
    }  # fmt: skip
    assert head["monitoring"]
    assert len(made["aws_eip"]) == len(made["aws_nat_gateway"]) <= 1
    settings = read_settings(roots.folder / "examples" / example, roots.folder)
    bill = {line.item: line.usd for line in price_site(settings, prices).idle}
    assert {item: usd for item, usd in expected.items() if usd} == pytest.approx(
        {item: usd for item, usd in bill.items() if item in expected}
    )


def test_a_second_plan_changes_nothing(complete: Roots) -> None:
    for root in ("data", "cluster"):
        assert complete.changes(root, *complete.settings(root, "complete")) == []


@pytest.mark.parametrize(
    ("root", "setting", "sentence"),
    [
        ("data", "region=us-west-2", "are in another region"),
        (
            "data",
            'existing_network={vpc_id="vpc-0a",subnets={us-east-1a="subnet-0a",us-east-1b="subnet-0b"}}',
            "one of them, not both",
        ),
        ("data", "name=Survey_1", "begins with a small letter"),
        ("data", "log_retention_days=30", "Logs are kept for 365"),
        ("cluster", 'head={zone="us-east-1f"}', "zone without a subnet"),
        ("cluster", "pools={}", "at least one pool"),
        ("cluster", "lustre={storage_gib=1000}", "1200 GiB, 2400 GiB"),
        ("cluster", "max_hourly_usd=0", "is above 0"),
        ("cluster", 'images={head="debian",node="ami-01"}', "given by its id"),
    ],
)
def test_what_cannot_be_is_refused_at_plan(
    complete: Roots, root: str, setting: str, sentence: str
) -> None:
    words = [*complete.settings(root, "complete"), f"-var={setting}"]
    said = complete.terraform(root, "plan", *words, check=False)
    assert "Error: Invalid value for variable" in said
    assert sentence in said
