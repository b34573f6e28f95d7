"""What AWS or Slurm would refuse half-way is refused at plan, with a sentence."""

from __future__ import annotations

import pytest

from tests.terraform.stand_in import Roots

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
