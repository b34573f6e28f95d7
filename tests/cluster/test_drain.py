"""A pool that is drained: what runs ends well, nothing begins, no node stays; it can be undone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from lsstpipe.cluster.drain import drain, open_again
from lsstpipe.cluster.head import Head
from lsstpipe.cluster.reconcile import reconcile
from lsstpipe.cluster.resume import resume
from lsstpipe.cluster.suspend import suspend
from tests.cluster.fakes import FakeEc2, FakeSlurm, make_head, make_pool, make_settings


class DrainingSlurm(FakeSlurm):
    """As the fake, with the state ``drain``, which a node has beside what it does."""

    def set_state(self, names: Sequence[str], state: str, reason: str = "") -> None:
        for name in names if state == "drain" else ():
            self.flags[name] |= {"DRAIN"}
            self.reasons[name] = reason
        before = {name: self.flags[name] for name in names}
        super().set_state(names, state, reason)
        if state == "power_down":
            for name in names:
                self.flags[name] |= before[name] & {"DRAIN"}


def a_busy_pool(folder: Path) -> tuple[Head, DrainingSlurm, FakeEc2]:
    """Two pools; of the first one node works and one has no work."""
    head = make_head(folder, make_settings(make_pool(max_nodes=3), make_pool("other")))
    assert isinstance(head.slurm, FakeSlurm)
    assert isinstance(head.ec2, FakeEc2)
    slurm = DrainingSlurm(head.slurm.now, head.slurm.flags)
    head.slurm = slurm
    resume(head, "spot-[1-2]", [], "first")
    for name in ("spot-1", "spot-2"):
        slurm.flags[name] = frozenset({"IDLE", "CLOUD"})
    slurm.start(7, "spot-1")
    return head, slurm, head.ec2


def test_what_runs_ends_and_then_the_nodes_go(tmp_path: Path) -> None:
    head, slurm, ec2 = a_busy_pool(tmp_path)
    drain(head, "spot")
    noted = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
    assert (noted["event"], noted["code"], noted["seconds"]) == ("pool-rests", "drained", None)
    assert all("DRAIN" in slurm.flags[f"spot-{n}"] for n in (1, 2, 3))
    assert not any("DRAIN" in flags for name, flags in slurm.flags.items() if "other" in name)
    reconcile(head)
    assert [item.node for item in ec2.alive()] == ["spot-1"], "only the one without work has gone"
    assert slurm.running == {7: ("spot-1",)}
    slurm.flags["spot-1"] = frozenset({"IDLE", "CLOUD", "DRAIN"})
    slurm.running.clear()
    for _ in range(3):
        reconcile(head)
    assert ec2.alive() == []
    resume(head, "spot-3", [], "late")
    assert ec2.alive() == [], "what Slurm asked for at the same moment is not launched"
    resume(head, "other-1", [], "other")
    assert [item.node for item in ec2.alive()] == ["other-1"]


def test_it_can_be_undone_at_any_moment(tmp_path: Path) -> None:
    head, slurm, ec2 = a_busy_pool(tmp_path)
    drain(head, "spot")
    reconcile(head)
    open_again(head, "spot")
    assert "DRAIN" not in slurm.flags["spot-1"]
    assert slurm.running == {7: ("spot-1",)}, "the job has seen nothing of it"
    for _ in range(3):
        reconcile(head)
    assert not any(flags & {"DRAIN", "DOWN"} for flags in slurm.flags.values())
    suspend(head, "spot-2")
    resume(head, "spot-2", [], "again")
    assert sorted(item.node for item in ec2.alive()) == ["spot-1", "spot-2"]
