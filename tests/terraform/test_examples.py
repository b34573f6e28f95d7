"""The examples can be applied, and say in site.json what the workflow needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

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


@pytest.mark.parametrize("example", ["minimal", "existing_vpc"])
def test_an_example_can_be_applied(example: str, tmp_path: Path) -> None:
    roots = copy_roots(tmp_path)
    roots.apply(example)
    site = site_of(roots)
    assert not faults(site)
    assert site["mounts"] == {}


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
