"""Quotas of Lustre and of databases are held to what is there and what comes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lsstpipe.site import check_storage
from lsstpipe.site.checks import run
from lsstpipe.site.findings import Aws, Finding
from lsstpipe.site.settings import Lustre, PersistentLustre, Settings
from tests.site.conftest import CODE, look_at
from tests.site.test_checks import said, stub_quotas, stubbed, with_cluster, with_data


def file_system(
    kind: str, gib: int, owner: str, deployment: str, tag: str = "lsstpipe:cluster"
) -> dict[str, Any]:
    """A file system as FSx describes it."""
    tags = [{"Key": tag, "Value": owner}]
    row = {"FileSystemType": kind, "StorageCapacity": gib, "Tags": tags}
    return row | ({"LustreConfiguration": {"DeploymentType": deployment}} if deployment else {})


def judge_lustre(
    cloud: Aws, settings: Settings, rows: list[dict[str, Any]], quotas: dict[str, int]
) -> list[Finding]:
    """Check a site among the file systems that FSx describes, by quotas of which each is asked."""
    cloud.clients["fsx"], files = stubbed("fsx")
    files.add_response("describe_file_systems", {"FileSystems": rows})
    stub = stub_quotas(cloud, *(("fsx", code, value) for code, value in quotas.items()))
    findings = run(check_storage.check_lustre_quotas, look_at(settings, cloud))
    stub.assert_no_pending_responses()
    return findings


@pytest.mark.parametrize(
    ("count", "gib", "level", "sentence"),
    [
        (2, 3600, "ok", "3600 are allowed, others have 2400, the site takes 1200."),
        (2, 3599, "error", "quota of GiB of Lustre: 3599 are allowed, others have 2400, the site"),
        (1, 3600, "error", "quota of file systems: 1 are allowed, others have 1, the site takes 1"),
    ],
)
def test_quotas_of_lustre_are_held_to_what_others_have_and_the_site_takes(
    minimal: Settings, cloud: Aws, count: int, gib: int, level: str, sentence: str
) -> None:
    settings = with_cluster(minimal, lustre=Lustre(storage_gib=1200))
    rows = [
        file_system("LUSTRE", 2400, "other", "SCRATCH_2"),
        file_system("LUSTRE", 4800, settings.cluster.name, "SCRATCH_2"),  # ours, from before
        file_system("LUSTRE", 9600, "other", "PERSISTENT_2"),
        file_system("WINDOWS", 9600, "other", ""),
    ]
    codes = check_storage.LUSTRE_COUNT_QUOTA, check_storage.LUSTRE_GIB_QUOTA
    findings = judge_lustre(cloud, settings, rows, dict(zip(codes, (count, gib), strict=True)))
    assert sentence in said(findings, level)
    assert len(findings) == 2


@pytest.mark.parametrize(
    ("count", "gib", "level", "sentence"),
    [
        (2, 14400, "ok", "14400 are allowed, others have 9600, the site takes 4800."),
        (2, 14399, "error", "quota of GiB of persistent Lustre: 14399 are allowed, others have"),
        (1, 14400, "error", "quota of persistent file systems: 1 are allowed, others have 1, the"),
    ],
)
def test_quotas_of_persistent_lustre_are_others_than_those_of_scratch(
    minimal: Settings, cloud: Aws, count: int, gib: int, level: str, sentence: str
) -> None:
    asked = PersistentLustre(storage_gib=4800, throughput_mbps_per_tib=125)
    settings = with_data(minimal, persistent_lustre=asked)
    ours = (settings.data.name, "PERSISTENT_2", "lsstpipe:data")
    rows = [
        file_system("LUSTRE", 2400, "other", "SCRATCH_2"),
        file_system("LUSTRE", 2400, *ours),  # from before it grew
        file_system("LUSTRE", 9600, "other", "PERSISTENT_2", "lsstpipe:data"),
        file_system("LUSTRE", 1200, "other", "PERSISTENT_1"),
    ]
    codes = check_storage.PERSISTENT_COUNT_QUOTA, check_storage.PERSISTENT_GIB_QUOTA
    findings = judge_lustre(cloud, settings, rows, dict(zip(codes, (count, gib), strict=True)))
    assert sentence in said(findings, level)
    assert len(findings) == 2


def test_a_site_without_lustre_asks_for_no_quota_of_it(minimal: Settings, cloud: Aws) -> None:
    assert run(check_storage.check_lustre_quotas, look_at(minimal, cloud)) == []


def test_the_quotas_of_lustre_are_for_what_terraform_makes() -> None:
    variables = (CODE / "modules" / "lustre" / "variables.tf").read_text()
    default = re.search(r'variable "deployment_type" \{.*?default += "(\w+)"', variables, re.DOTALL)
    assert default is not None
    assert default[1].startswith(check_storage.SCRATCH)
    assert "deployment_type" not in (CODE / "cluster" / "lustre.tf").read_text()
    of_data = (CODE / "data" / "lustre.tf").read_text()
    assert re.findall(r'deployment_type += "(\w+)"', of_data) == [check_storage.PERSISTENT]


@pytest.mark.parametrize(
    ("count", "gb", "level", "sentence"),
    [
        (3, 1000, "ok", "1000 are allowed, others have 70, the site takes 20."),
        (2, 1000, "error", "quota of databases: 2 are allowed, others have 2, the site takes 1;"),
        (3, 89, "error", "quota of GB of databases: 89 are allowed, others have 70"),
        (3, 90, "warning", "the site takes 20 and grows to "),
    ],
)
def test_quotas_of_databases_are_held_to_what_others_have_and_the_site_takes(
    minimal: Settings, cloud: Aws, count: int, gb: int, level: str, sentence: str
) -> None:
    rds = cloud.client("rds")
    for name, engine in (("other", "postgres"), ("trial-registry", "postgres"), ("a", "mysql")):
        rds.create_db_instance(
            DBInstanceIdentifier=name, DBInstanceClass="db.t4g.micro", Engine=engine,
            AllocatedStorage=35, MasterUsername="owner", MasterUserPassword="not-a-secret",
        )  # fmt: skip
    stub_quotas(
        cloud,
        ("rds", check_storage.DATABASE_COUNT_QUOTA, count),
        ("rds", check_storage.DATABASE_GB_QUOTA, gb),
    )
    findings = run(check_storage.check_database_quotas, look_at(minimal, cloud))
    assert sentence in said(findings, level)
    assert len(findings) == 2
