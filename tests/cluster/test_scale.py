"""Decisions for many nodes and jobs; ``benchmarks/cluster_scale.py`` measures the whole size."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.scale import BOOT_S, SERVICES_S, SLURM_LOOKS_S, Bucket, Campaign

LONGEST_LOOP_S = 1.0


def test_a_bucket_lets_pass_what_it_holds_and_then_its_rate() -> None:
    bucket = Bucket(100, 10.0)
    assert bucket.take(100, 0.0) == 0.0
    assert bucket.take(1, 0.0) == pytest.approx(0.1)
    assert bucket.take(20, 1.0) == pytest.approx(1.1), "ten have come back, 21 are owed"
    assert bucket.take(100, 1000.0) == 0.0
    assert bucket.n_taken == 221


def test_many_jobs_run_once_each_from_no_node_to_none(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, n_pools=2, n_nodes=150, cores=4, n_jobs=3000)
    outcome = campaign.run(reach=(600,))
    assert campaign.slurm.done == set(range(1, 3001))
    assert campaign.ec2.alive() == []
    assert outcome.peak_nodes == 300
    # What is asked of EC2: a fleet a pool, a name an instance, and looks every 30 s.
    assert outcome.requests["CreateFleet"] == 2
    assert outcome.requests["CreateTags"] == outcome.requests["instances launched"] == 300
    assert outcome.requests["TerminateInstances"] <= outcome.wall_s / 10
    assert outcome.longest_wait_s["DescribeInstances"] == 0
    # Half of the nodes have their names after 5 s, all after 20 s; each boots meanwhile.
    slowest = BOOT_S + SERVICES_S + SLURM_LOOKS_S + 5 * 6.0
    assert BOOT_S + SERVICES_S < outcome.reach_s[600] < slowest
    assert all(max(times) < LONGEST_LOOP_S for times in outcome.cpu_s.values())
