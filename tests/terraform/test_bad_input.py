"""What AWS or Slurm would refuse half-way is refused at plan, with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.terraform.stand_in import ROUTES_OVERRIDE, Roots, copy_roots

pytestmark = pytest.mark.xdist_group("terraform")

ZONES = 'zones=["us-east-1a","us-east-1b"]'
NODE = 'instance_types=["m7a.xlarge"],cpus=4,memory_mb=15000,max_hourly_usd=10'

# Which zones have a type, and what the account may have, the stand-in answers: a to c, 1000 vCPUs.
REFUSALS = {
    "overlapping addresses": (
        "data",
        f'network={{cidr="10.20.0.0/16",{ZONES},reserved_cidrs=["10.20.8.0/24"]}}',
        "overlap with one of reserved_cidrs",
    ),
    "frames that leave before they are used": (
        "data",
        "raw_days={infrequent=10,archive=400}",
        "Raw frames stay 30 days at least",
    ),
    "backups of a day": ("data", "registry={backup_days=1}", "Backups are kept for 7 to 35 days"),
    "logs of a month": ("cluster", "log_retention_days=30", "Logs are kept for 365"),
    "a name that S3 refuses": ("data", "name=big_survey", "begins with a small letter"),
    "a name that Slurm refuses": (
        "cluster",
        f"pools={{big-nodes={{{NODE},max_nodes=1}}}}",
        "The name of a pool begins with a small letter",
    ),
    "a pool of zero": (
        "cluster",
        f"pools={{spot={{{NODE},max_nodes=0}}}}",
        "whole number from 1 to 5000",
    ),
    "a zone without the type": (
        "cluster",
        f'pools={{spot={{{NODE},max_nodes=1,zones=["us-east-1d"]}}}}',
        "The zones of pool spot have none of its instance types",
    ),
    "Spot alone without quota": (
        "cluster",
        'pools={spot={instance_types=["m7a.xlarge"],cpus=1001,memory_mb=300000,max_hourly_usd=10,'
        'max_nodes=1,fallback="none"}}',
        "Pool spot is on the Spot market alone, and the account may have 1000 vCPUs there",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_bad_input_is_refused_at_plan(complete: Roots, name: str) -> None:
    root, setting, sentence = REFUSALS[name]
    words = [*complete.settings(root, "complete"), f"-var={setting}"]
    said = complete.terraform(root, "plan", *words, check=False)
    assert "Error: " in said
    assert sentence in said


def test_a_network_that_leads_nowhere_is_refused_at_plan(tmp_path: Path) -> None:
    roots = copy_roots(tmp_path)
    (roots.folder / "data" / ROUTES_OVERRIDE).unlink()
    said = roots.terraform("data", "plan", *roots.settings("data", "existing_vpc"), check=False)
    subnets = "subnet-0123456789abcdef0, subnet-0123456789abcdef1"
    assert f"No gateway endpoint for S3 is in the route table of {subnets}: each frame" in said
    assert f"No way leads from {subnets} to AWS: neither a default route" in said
    assert "interface endpoints for each of ec2, ec2messages, kms" in said
