"""Decisions that a real Slurm has taught."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsstpipe.cluster.decide import Act
from lsstpipe.cluster.fleet import Job
from lsstpipe.cluster.reconcile import reconcile
from lsstpipe.cluster.resume import resume
from lsstpipe.cluster.slurm import read_resume_file
from lsstpipe.cluster.suspend import suspend
from tests.cluster.fakes import FakeEc2, FakeSlurm, make_head


def test_an_instance_of_an_earlier_life_does_not_speak_for_a_node_that_boots(
    tmp_path: Path,
) -> None:
    head = make_head(tmp_path)
    slurm, ec2 = head.slurm, head.ec2
    assert isinstance(slurm, FakeSlurm)
    assert isinstance(ec2, FakeEc2)
    resume(head, "spot-1", [], "first")
    slurm.set_state(["spot-1"], "power_down")
    suspend(head, "spot-1")
    # Slurm powers it up again; reconcile looks before resume has launched anything.
    slurm.set_state(["spot-1"], "power_up")
    assert reconcile(head) == []
    resume(head, "spot-1", [], "second")
    assert reconcile(head) == []
    ec2.lose(ec2.alive()[0].id)
    (decision,) = reconcile(head)
    assert decision.action.act is Act.DOWN


@pytest.mark.parametrize(
    "row",
    [
        # Slurm 22.05, as a real one wrote it, and later ones.
        {"job_id": 7, "nodes": "spot-[1-2]"},
        {"job_id": 7, "nodes_alloc": "spot-[1-2]", "nodes_resume": "spot-[1-2]"},
    ],
)
def test_resume_files_of_all_versions_are_read(row: dict[str, object]) -> None:
    (wanted,) = read_resume_file(json.dumps({"jobs": [row]}).encode())
    assert wanted.job == Job(7, n_nodes=2)
    assert wanted.nodes == ("spot-1", "spot-2")
