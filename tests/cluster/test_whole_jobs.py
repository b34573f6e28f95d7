"""Jobs of several nodes: all of their nodes are launched, or none costs money."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lsstpipe.cluster.assign import Wanted
from lsstpipe.cluster.decide import Power
from lsstpipe.cluster.ec2 import Instance
from lsstpipe.cluster.fleet import Job
from lsstpipe.cluster.head import BUDGET_FLAG, Head
from lsstpipe.cluster.reconcile import reconcile
from lsstpipe.cluster.resume import resume
from lsstpipe.errors import TemporaryError
from tests.cluster.fakes import FakeEc2, FakeSlurm, make_head, make_pool, make_settings

PAIR = Wanted(Job(7, n_nodes=2), ("spot-1", "spot-2"))
SPOT, ON_DEMAND = ("spot", "spot"), ("spot", "on-demand")
REFUSED = "(Code:InsufficientInstanceCapacity) Failure when resuming nodes"


def parts(head: Head) -> tuple[FakeSlurm, FakeEc2]:
    assert isinstance(head.slurm, FakeSlurm)
    assert isinstance(head.ec2, FakeEc2)
    return head.slurm, head.ec2


def power_up(head: Head, *names: str) -> None:
    """Let Slurm have given nodes to a job that powers them up."""
    slurm, _ = parts(head)
    for name in names:
        slurm.flags[name] = frozenset({"ALLOCATED", "CLOUD", "POWERING_UP"})


def asked(ec2: FakeEc2) -> list[tuple[str, int]]:
    """Give market and number of nodes of each request."""
    wanted = [request["TargetCapacitySpecification"] for request in ec2.requests]
    return [(row["DefaultTargetCapacityType"], row["TotalTargetCapacity"]) for row in wanted]


def refused(slurm: FakeSlurm) -> set[str]:
    """Give the nodes that are down and without power."""
    return {name for name, flags in slurm.flags.items() if flags >= {"DOWN", "POWERED_DOWN"}}


def hide(
    monkeypatch: pytest.MonkeyPatch, ec2: FakeEc2, hidden: Sequence[str], n_looks: int
) -> None:
    """Let EC2 never show some of its instances, those of each of the first looks."""
    looks: list[int] = []

    def arrive(ids: Sequence[str]) -> Iterator[list[Instance]]:
        looks.append(len(ids))
        left = [key for key in ids if key not in hidden or len(looks) > n_looks]
        yield [ec2.all[key] for key in left if ec2.all[key].power is Power.ALIVE]

    monkeypatch.setattr(ec2, "arrivals", arrive)


def test_a_job_that_gets_one_of_two_nodes_gets_both_on_demand_and_the_one_is_ended(
    tmp_path: Path,
) -> None:
    head = make_head(tmp_path)
    slurm, ec2 = parts(head)
    power_up(head, *PAIR.nodes)
    ec2.room[SPOT] = 1
    resume(head, "spot-[1-2]", [PAIR], "1")
    assert asked(ec2) == [("spot", 2), ("on-demand", 2)]
    assert ec2.all["i-00000001"].power is Power.ENDING
    assert {i.node: i.market for i in ec2.alive()} == dict.fromkeys(PAIR.nodes, "on-demand")
    assert refused(slurm) == set()
    assert set(slurm.addresses) == set(PAIR.nodes)


@pytest.mark.parametrize("fallback", ["none", "on-demand"])
def test_a_job_that_gets_one_of_two_nodes_everywhere_gets_none_and_both_are_down(
    tmp_path: Path, fallback: str
) -> None:
    head = make_head(tmp_path, make_settings(make_pool(fallback=fallback)))
    slurm, ec2 = parts(head)
    power_up(head, *PAIR.nodes)
    ec2.room |= {SPOT: 1, ON_DEMAND: 1}
    resume(head, "spot-[1-2]", [PAIR], "1")
    markets = ("spot",) if fallback == "none" else ("spot", "on-demand")
    assert asked(ec2) == [(market, 2) for market in markets]
    assert ec2.alive() == []
    assert refused(slurm) == set(PAIR.nodes)
    assert slurm.reasons == dict.fromkeys(PAIR.nodes, REFUSED)
    assert slurm.addresses == {}, "no instance was told that it is one of the nodes"


def test_a_part_is_enough_for_jobs_of_one_node_each(tmp_path: Path) -> None:
    head = make_head(tmp_path, make_settings(make_pool(fallback="none")))
    slurm, ec2 = parts(head)
    power_up(head, *PAIR.nodes)
    ec2.room[SPOT] = 1
    jobs = [Wanted(Job(n), (f"spot-{n}",)) for n in (1, 2)]
    resume(head, "spot-[1-2]", jobs, "1")
    assert [item.node for item in ec2.alive()] == ["spot-1"]
    assert refused(slurm) == {"spot-2"}


def test_the_guard_lets_all_nodes_of_a_job_pass_or_none(tmp_path: Path) -> None:
    settings = make_settings(make_pool(fallback="none", max_hourly_usd=0.2))
    head = make_head(tmp_path, settings)
    slurm, ec2 = parts(head)
    resume(head, "spot-3", [Wanted(Job(1), ("spot-3",))], "1")
    assert len(ec2.alive()) == 1, "the ceiling allows one node, not three"
    power_up(head, *PAIR.nodes)
    resume(head, "spot-[1-2]", [PAIR], "2")
    assert len(ec2.requests) == 1
    assert refused(slurm) == set(PAIR.nodes)
    assert "not launched" in slurm.comments[7]


def test_an_instance_that_is_never_shown_is_replaced_for_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = make_head(tmp_path)
    slurm, ec2 = parts(head)
    power_up(head, *PAIR.nodes)
    hide(monkeypatch, ec2, ["i-00000002"], n_looks=1)
    resume(head, "spot-[1-2]", [PAIR], "1")
    assert asked(ec2) == [("spot", 2), ("on-demand", 1)]
    assert {i.node: i.market for i in ec2.alive()} == {"spot-1": "spot", "spot-2": "on-demand"}
    assert refused(slurm) == set()


@pytest.mark.parametrize("why", ["no room", "too dear", "never shown either"])
def test_where_an_instance_cannot_be_replaced_all_nodes_of_its_job_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    head = make_head(tmp_path)
    slurm, ec2 = parts(head)
    power_up(head, *PAIR.nodes)
    hide(monkeypatch, ec2, ["i-00000002", "i-00000003"], n_looks=2)
    if why == "no room":
        ec2.room[ON_DEMAND] = 0
    if why == "too dear":
        arrivals = ec2.arrivals

        def spend(ids: Sequence[str]) -> Iterator[list[Instance]]:
            (tmp_path / BUDGET_FLAG).touch()
            return arrivals(ids)

        monkeypatch.setattr(ec2, "arrivals", spend)
    resume(head, "spot-[1-2]", [PAIR], "1")
    assert len(asked(ec2)) == (1 if why == "too dear" else 2)
    assert ec2.alive() == []
    assert refused(slurm) == set(PAIR.nodes)
    assert len(set(slurm.reasons.values())) == 1, "both say why"
    with head.state.hold() as state:
        assert state.assigned == {}


def test_a_node_that_another_job_waits_for_stays_when_a_job_of_several_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = make_head(tmp_path, make_settings(make_pool(fallback="none")))
    slurm, ec2 = parts(head)
    power_up(head, *PAIR.nodes)
    hide(monkeypatch, ec2, ["i-00000002"], n_looks=1)
    resume(head, "spot-[1-2]", [PAIR, Wanted(Job(8), ("spot-1",))], "1")
    assert [item.node for item in ec2.alive()] == ["spot-1"]
    assert refused(slurm) == {"spot-2"}


@pytest.mark.parametrize("how", ["stuck", "unanswered"])
def test_what_ec2_does_not_end_of_such_a_job_is_told_and_ended_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    head = make_head(tmp_path, make_settings(make_pool(fallback="none")))
    slurm, ec2 = parts(head)
    power_up(head, *PAIR.nodes)
    hide(monkeypatch, ec2, ["i-00000002"], n_looks=1)
    terminate = ec2.terminate

    def fail(ids: Sequence[str]) -> list[str]:
        if "i-00000001" in ids and how == "unanswered":
            raise TemporaryError("EC2 does not end instances")
        return terminate(ids)

    with monkeypatch.context() as patch:
        patch.setattr(ec2, "terminate", fail)
        ec2.stuck |= {"i-00000001"} if how == "stuck" else set()
        resume(head, "spot-[1-2]", [PAIR], "1")
    assert refused(slurm) == set(PAIR.nodes)
    assert [item.id for item in ec2.alive()] == ["i-00000001"]
    assert ("terminate", ["spot-1"]) in [(e["action"], e["nodes"]) for e in failures(tmp_path)]
    ec2.stuck.clear()
    ec2.now[0] += head.cluster.orphan_grace_s + 1
    reconcile(head)
    assert ec2.alive() == []


def failures(folder: Path) -> list[dict[str, Any]]:
    """Give what could not be done."""
    rows = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [row for row in rows if row["event"] == "action-failed"]
