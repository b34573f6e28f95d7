"""What Terraform renders for Slurm is what lsstpipe reads."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.terraform.module_tables import TERRAFORM

SETTINGS: dict[str, Any] = {
    "name": "survey",
    "region": "us-east-1",
    "tags": {"CostCenter": "42"},
    "network": {
        "vpc_id": "vpc-0a",
        "subnets": {"us-east-1a": "subnet-0a", "us-east-1b": "subnet-0b"},
    },
    "launch_templates": {
        "small": {"id": "lt-01", "version": "3"},
        "large": {"id": "lt-02", "version": "1"},
    },
    "max_hourly_usd": 50,
    "head": {"hostname": "head"},
    "pools": {
        "small": {
            "instance_types": ["m7a.xlarge", "m7i.xlarge"],
            "cpus": 4,
            "memory_mb": 15000,
            "max_nodes": 10,
            "min_nodes": 1,
            "max_hourly_usd": 10,
        },
        "large": {
            "instance_types": ["r7a.4xlarge"],
            "cpus": 16,
            "memory_mb": 125000,
            "max_nodes": 4,
            "max_hourly_usd": 9.5,
            "capacity": "on-demand",
            "fallback": "none",
            "zones": ["us-east-1b"],
        },
    },
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The outputs of the module, applied: it makes text only."""
    if shutil.which("terraform") is None:
        pytest.skip("the program terraform is not installed")
    module = tmp_path_factory.mktemp("terraform") / "slurm_config"
    shutil.copytree(TERRAFORM / "modules" / "slurm_config", module)
    (module / "terraform.tfvars.json").write_text(json.dumps(SETTINGS))
    for command in ("init", "apply -auto-approve"):
        run_terraform(module, *command.split())
    outputs = json.loads(run_terraform(module, "output", "-json"))
    return {name: output["value"] for name, output in outputs.items()}


def run_terraform(folder: Path, *words: str) -> str:
    command = ["terraform", f"-chdir={folder}", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def directives(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_pools_json_says_what_was_set(rendered: dict[str, str]) -> None:
    cluster = json.loads(rendered["pools_json"])
    assert (cluster["name"], cluster["max_hourly_usd"]) == ("survey", 50)
    for pool in cluster["pools"]:
        asked = SETTINGS["pools"][pool["name"]]
        assert {key: pool[key] for key in asked if key != "zones"} == {
            key: value for key, value in asked.items() if key != "zones"
        }


def test_pools_json_is_what_lsstpipe_reads(rendered: dict[str, str], tmp_path: Path) -> None:
    config = pytest.importorskip("lsstpipe.cluster.config")
    path = tmp_path / "pools.json"
    path.write_text(rendered["pools_json"])
    cluster = config.read_cluster(path)
    assert [pool.name for pool in cluster.pools] == ["large", "small"]
    assert cluster.find_pool("small-1").is_static("small-1")
    assert cluster.find_pool("large-1").subnet_ids == ("subnet-0b",)


def test_slurm_conf_and_the_pools_that_it_includes_set_nothing_twice(
    rendered: dict[str, str], tmp_path: Path
) -> None:
    config = pytest.importorskip("lsstpipe.cluster.config")
    slurm_conf = pytest.importorskip("lsstpipe.cluster.slurm_conf")
    cluster = config.Cluster.model_validate_json(rendered["pools_json"])
    pools = slurm_conf.render_pools(cluster, slurm_conf.PowerSaving(tmp_path))
    assert not set(directives(pools)) & set(directives(rendered["slurm_conf"]))


def test_slurm_conf_asks_for_what_snakemake_needs(rendered: dict[str, str]) -> None:
    settings = directives(rendered["slurm_conf"])
    assert settings["AccountingStorageType"] == "accounting_storage/slurmdbd"
    assert "Memory" in settings["SelectTypeParameters"]
    assert rendered["slurm_conf"].splitlines()[-1] == "include pools.conf"
