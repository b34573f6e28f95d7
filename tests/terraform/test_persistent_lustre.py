"""A file system of the data outlives clusters, and each cluster mounts it."""

from __future__ import annotations

import base64
import json

import pytest

from lsstpipe.cluster.prices import read_prices
from lsstpipe.site.bill import price_site
from lsstpipe.site.settings import read_settings
from tests.terraform.stand_in import Resource, Roots, copy_roots
from tests.terraform.test_examples import require_true_bill

pytestmark = pytest.mark.xdist_group("terraform")

FILE_SYSTEM = "aws_fsx_lustre_file_system"
ASKED = "persistent_lustre = { storage_gib = 2400, throughput_mbps_per_tib = 250 }\n"


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    """The example `minimal` with a file system of its data, applied; tests only plan with it."""
    made = copy_roots(tmp_path_factory.mktemp("persistent"))
    with (made.folder / "examples" / "minimal" / "data.tfvars").open("a") as settings:
        settings.write(ASKED)
    made.apply("minimal")
    return made


def only(resources: list[Resource], kind: str) -> Resource:
    (found,) = [item for item in resources if item.type == kind]
    return found


def plan(roots: Roots, root: str, *words: str) -> str:
    return roots.terraform(root, "plan", *roots.settings(root, "minimal"), *words, check=False)


def test_its_type_version_throughput_and_key_are_said(roots: Roots) -> None:
    data = roots.resources("data")
    made = only(data, FILE_SYSTEM).values
    assert made["deployment_type"] == "PERSISTENT_2"
    assert made["file_system_type_version"] == "2.15"
    assert (made["storage_capacity"], made["per_unit_storage_throughput"]) == (2400, 250)
    assert made["kms_key_id"] == only(data, "aws_kms_key").values["arn"]


def test_a_cluster_mounts_it_on_head_node_and_nodes_in_place_of_its_own(roots: Roots) -> None:
    told = json.loads(roots.terraform("data", "output", "-json", "data"))["persistent_lustre"]
    site = json.loads(roots.terraform("cluster", "output", "-json", "site"))
    assert site["mounts"] == told["mounts"]
    cluster = roots.resources("cluster")
    assert not [item for item in cluster if item.type == FILE_SYSTEM]
    line = " ".join(told["mounts"]["lustre"][key] for key in ("source", "target", "type"))
    node = only(cluster, "aws_launch_template").values["user_data"]
    assert f"MOUNTS='{line} " in base64.b64decode(node).decode()
    assert f"MOUNTS='{line} " in only(cluster, "aws_instance").values["user_data"]


def test_the_machines_of_a_cluster_come_in_and_nobody_else(roots: Roots) -> None:
    told = json.loads(roots.terraform("data", "output", "-json", "data"))["persistent_lustre"]
    cluster = roots.resources("cluster")
    machines = {
        item.values["id"]
        for item in cluster
        if item.address.startswith("module.security_groups.aws_security_group.")
    }
    comers = [
        item.values["referenced_security_group_id"]
        for item in cluster + roots.resources("data")
        if item.type == "aws_vpc_security_group_ingress_rule"
        and item.values["security_group_id"] == told["security_group_id"]
    ]
    assert len(machines) == 2
    assert sorted(comers) == sorted([*machines, told["security_group_id"]] * 2)


@pytest.mark.parametrize(
    "word",
    [
        "-var=persistent_lustre=null",
        f"-replace=module.lustre[0].{FILE_SYSTEM}.this",
        f"-destroy -target=module.lustre[0].{FILE_SYSTEM}.this",
    ],
)
def test_terraform_neither_ends_nor_replaces_it(roots: Roots, word: str) -> None:
    said = plan(roots, "data", *word.split())
    assert "Instance cannot be destroyed" in said
    assert "module.lustre[0].terraform_data.kept" in said


def test_it_can_grow(roots: Roots) -> None:
    bigger = "-var=persistent_lustre={storage_gib=4800,throughput_mbps_per_tib=250}"
    (change,) = roots.changes("data", *roots.settings("data", "minimal"), bigger)
    assert (change["type"], change["change"]["actions"]) == (FILE_SYSTEM, ["update"])


def test_a_second_plan_changes_nothing(roots: Roots) -> None:
    for root in ("data", "cluster"):
        assert roots.changes(root, *roots.settings(root, "minimal")) == []


def test_the_end_of_a_cluster_leaves_it(roots: Roots) -> None:
    ended = roots.changes("cluster", *roots.settings("cluster", "minimal"), "-destroy")
    assert {tuple(row["change"]["actions"]) for row in ended} == {("delete",)}
    assert FILE_SYSTEM not in {row["type"] for row in ended}


def test_a_cluster_has_none_of_its_own_besides(roots: Roots) -> None:
    assert "leave lustre out" in plan(roots, "cluster", "-var=lustre={}")


def test_the_bill_has_it_as_it_is(roots: Roots) -> None:
    require_true_bill(roots, "minimal")
    settings = read_settings(roots.folder / "examples" / "minimal", roots.folder)
    items = [line.item for line in price_site(settings, read_prices("us-east-1")).idle]
    assert "persistent Lustre" in items
    assert "Lustre" not in items
