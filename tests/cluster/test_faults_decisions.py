"""Faults whose outcome is ours to decide, with a Slurm and an EC2 in memory.

What a real Slurm does to them is in `test_faults`.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lsstpipe.cluster.assign import Wanted
from lsstpipe.cluster.decide import Act
from lsstpipe.cluster.ec2 import Ec2Client, Instance
from lsstpipe.cluster.fleet import Job, Launched
from lsstpipe.cluster.head import Head
from lsstpipe.cluster.reconcile import close_breaker, reconcile
from lsstpipe.cluster.resume import resume
from lsstpipe.cluster.slurm import SlurmCommands
from lsstpipe.cluster.suspend import suspend
from lsstpipe.errors import TemporaryError
from tests.cluster.fakes import FakeEc2, FakeSlurm, make_head, make_pool, make_settings

ASLEEP = frozenset({"IDLE", "CLOUD", "POWERED_DOWN"})


@pytest.fixture
def head(tmp_path: Path) -> Head:
    """A head node with one pool of four nodes on Spot, which may fall back."""
    return make_head(tmp_path)


def slurm_of(head: Head) -> FakeSlurm:
    assert isinstance(head.slurm, FakeSlurm)
    return head.slurm


def ec2_of(head: Head) -> FakeEc2:
    assert isinstance(head.ec2, FakeEc2)
    return head.ec2


def events(head: Head, name: str) -> list[dict[str, Any]]:
    """Give what has happened of one kind."""
    rows = [json.loads(line) for line in (head.folder / "events.jsonl").read_text().splitlines()]
    return [row for row in rows if row["event"] == name]


def run_out(head: Head, code: str) -> None:
    """Let both markets answer with an error."""
    ec2_of(head).code = code
    ec2_of(head).room |= {("spot", "spot"): 0, ("spot", "on-demand"): 0}


def start_job(head: Head, event: str = "1") -> None:
    """Let Slurm ask for the first node that may power up."""
    slurm = slurm_of(head)
    slurm.waiting.append(1)
    ((job, node),) = slurm.schedule()
    resume(head, node, [Wanted(Job(job), (node,))], event)


def test_a_pool_that_rests_is_held_back_and_returns(head: Head) -> None:
    run_out(head, "InsufficientInstanceCapacity")
    start_job(head)
    slurm = slurm_of(head)
    held = [d for d in reconcile(head) if d.action.act is Act.HOLD]
    # Slurm is not offered the other nodes in turn: the job goes to another pool, or waits.
    assert [d.node for d in held] == ["spot-2", "spot-3", "spot-4"]
    assert slurm.schedule() == []
    assert len(ec2_of(head).requests) == 2, "Spot, then on demand"
    assert all(d.action.act is not Act.HOLD for d in reconcile(head)), "held once"
    ec2_of(head).room.clear()
    ec2_of(head).now[0] += head.cluster.capacity_cooldown_s
    reconcile(head)
    assert all(flags == ASLEEP for flags in slurm.flags.values())
    assert [e["pool"] for e in events(head, "pool-returns")] == ["spot"]


def test_a_node_without_power_that_slurm_waits_for_is_put_to_sleep_again(head: Head) -> None:
    slurm = slurm_of(head)
    slurm.flags["spot-1"] = ASLEEP | {"NOT_RESPONDING"}
    (decision,) = reconcile(head)
    assert (decision.node, decision.action.act) == ("spot-1", Act.POWER_DOWN)


def test_a_quota_is_met_once_and_told_to_people(head: Head) -> None:
    run_out(head, "VcpuLimitExceeded")
    start_job(head)
    n_asked = len(ec2_of(head).requests)
    assert n_asked == 1, "more of the same account is not asked for on demand"
    for _ in range(20):
        reconcile(head)
        assert slurm_of(head).schedule() == []
        ec2_of(head).now[0] += head.cluster.quota_cooldown_s / 21
    assert len(ec2_of(head).requests) == n_asked
    (met,) = events(head, "quota-met")
    assert (met["pool"], met["code"]) == ("spot", "VcpuLimitExceeded")


def test_a_mistake_is_never_repeated_until_a_person_has_looked(head: Head) -> None:
    run_out(head, "InvalidAMIID.NotFound")
    start_job(head)
    ec2_of(head).room.clear()
    for _ in range(10):
        ec2_of(head).now[0] += 1e6
        head.state.beat(head.now())
        resume(head, "spot-3", [], f"later {head.now()}")
        reconcile(head)
    assert len(ec2_of(head).requests) == 1
    assert [e["reason"] for e in events(head, "breaker-open")] == ["InvalidAMIID.NotFound"]
    assert [e["seconds"] for e in events(head, "pool-rests")] == [None], "for ever, and still JSON"
    close_breaker(head, "spot")
    reconcile(head)
    ((job, node),) = slurm_of(head).schedule()
    resume(head, node, [Wanted(Job(job), (node,))], "at last")
    assert len(ec2_of(head).alive()) == 1


def test_throttled_requests_are_repeated_and_launch_once(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    ec2 = ec2_of(head)
    launch, tokens = ec2.launch, []

    def throttle(request: Mapping[str, Any]) -> Launched:
        tokens.append(request["ClientToken"])
        if len(tokens) < 3:
            return Launched((), (("RequestLimitExceeded", "simulated"),))
        return launch(request)

    monkeypatch.setattr(ec2, "launch", throttle)
    start_job(head)
    assert len(tokens) == 3
    assert len(set(tokens)) == 1
    assert len(ec2.alive()) == 1
    assert events(head, "pool-rests") == []


def test_an_instance_that_ec2_never_shows_is_given_up_and_ended_as_an_orphan(
    tmp_path: Path,
) -> None:
    head = make_head(tmp_path, make_settings(make_pool(fallback="none")))
    ec2 = ec2_of(head)
    ec2.shown_after_s = 120.0
    start_job(head)
    (hidden,) = ec2.alive()
    assert "DOWN" in slurm_of(head).flags["spot-1"], "its job does not wait for it"
    ec2.now[0] += head.cluster.orphan_grace_s + 1
    reconcile(head)
    assert ec2.alive() == []
    assert [e["instance"] for e in events(head, "orphan-ended")] == [hidden.id]


def test_an_instance_that_ec2_shows_after_a_minute_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from botocore.stub import Stubber

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "only-for-a-test")
    waited: list[float] = []
    client = Ec2Client("test", "us-east-1", sleep=waited.append)
    row = {
        "InstanceId": "i-0000000000000000a", "State": {"Name": "running"},
        "LaunchTime": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        "PrivateIpAddress": "10.0.0.7",
    }  # fmt: skip
    with Stubber(client._client) as stub:
        for _ in range(7):
            stub.add_response("describe_instances", {"Reservations": []})
        stub.add_response("describe_instances", {"Reservations": [{"Instances": [row]}]})
        ((found,),) = client.arrivals(["i-0000000000000000a"])
        stub.assert_no_pending_responses()
    assert found.private_ip == "10.0.0.7"
    assert 60 <= sum(waited) <= 90


def test_an_instance_that_is_shown_late_delays_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = make_head(tmp_path, make_settings(make_pool("late"), make_pool("prompt")))
    ec2, slurm = ec2_of(head), slurm_of(head)
    named: list[list[str]] = []

    def arrive(ids: Sequence[str]) -> Iterator[list[Instance]]:
        assert len(ids) == 2, "both are asked for before either is waited for"
        for key in sorted(ids, key=lambda key: ec2.all[key].pool != "prompt"):
            yield [ec2.all[key]]
            named.append([item.node for item in ec2.alive() if item.node])

    monkeypatch.setattr(ec2, "arrivals", arrive)
    resume(head, "late-1,prompt-1", [], "1")
    assert named == [["prompt-1"], ["late-1", "prompt-1"]]
    assert set(slurm.addresses) == {"late-1", "prompt-1"}
    assert [e["nodes"] for e in events(head, "launched")] == [["prompt-1"], ["late-1"]]


def test_nothing_is_looked_for_where_nothing_was_launched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[Any] = []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "only-for-a-test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "only-for-a-test")
    client = Ec2Client("test", "us-east-1")
    monkeypatch.setattr(client, "_describe", lambda **arguments: looked.append(arguments))
    # A filter without values is no filter, or an error.
    assert list(client.arrivals([])) == []
    assert looked == []


def test_what_cannot_be_ended_is_asked_for_again_and_keeps_nobody_waiting(head: Head) -> None:
    ec2, slurm = ec2_of(head), slurm_of(head)
    resume(head, "spot-[1-2]", [], "1")
    for name in ("spot-1", "spot-2"):
        slurm.set_state([name], "power_down")
    stuck, other = (item.id for item in ec2.alive())
    ec2.stuck.add(stuck)
    assert suspend(head, "spot-[1-2]") == [other]
    ec2.now[0] += head.cluster.orphan_grace_s + 1
    for _ in range(3):
        reconcile(head)
        assert head.state.silence_s(head.now()) == 0, "the others are looked after"
        assert [item.id for item in ec2.alive()] == [stuck]
    told = events(head, "action-failed")
    assert [(e["action"], e["nodes"]) for e in told] == [("terminate", ["spot-1"])] * 4
    ec2.stuck.clear()
    reconcile(head)
    assert ec2.alive() == []


@pytest.mark.parametrize(
    ("reason", "is_counted"),
    [
        ("Client.InstanceInitiatedShutdown: Instance initiated shutdown", True),
        ("Client.InternalError: Client error on launch", True),
        ("Server.SpotInstanceTermination: Spot instance termination", False),
        ("Client.UserInitiatedShutdown: User initiated shutdown", False),
    ],
)
def test_an_instance_that_ends_itself_while_it_boots_counts_as_one_that_did_not_boot(
    head: Head, reason: str, is_counted: bool
) -> None:
    ec2, slurm = ec2_of(head), slurm_of(head)
    start_job(head)
    ec2._change(ec2.alive()[0].id, power=ec2.instances()[0].power.ENDING, reason=reason)
    (decision,) = reconcile(head)
    assert decision.action.act is Act.DOWN
    assert slurm.waiting == [1], "its job is not lost"
    with head.state.hold() as state:
        assert state.boot_failures.get("spot", 0) == int(is_counted)


def test_an_address_that_slurm_did_not_hear_is_told_again(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm = slurm_of(head)

    def fail(addresses: Mapping[str, str]) -> None:
        raise TemporaryError("scontrol update failed: Unable to contact slurm controller")

    with monkeypatch.context() as patch:
        patch.setattr(slurm, "set_addresses", fail)
        start_job(head)
    assert "spot-1" not in slurm.addresses
    assert [(e["action"], e["nodes"]) for e in events(head, "action-failed")] == [
        ("address", ["spot-1"])
    ]
    assert reconcile(head) == [], "nothing is wrong with the node"
    assert slurm.addresses == {"spot-1": ec2_of(head).alive()[0].private_ip}


def ask_again(head: Head, event: str = "2") -> None:
    """Do what a slurmctld does that was started again: ask for the nodes that power up."""
    flags = slurm_of(head).flags
    resume(head, ",".join(n for n in flags if "POWERING_UP" in flags[n]), [], event)


def test_a_node_that_is_asked_for_again_while_it_boots_is_launched_once(head: Head) -> None:
    start_job(head)
    (instance,) = ec2_of(head).alive()
    slurm_of(head).addresses.clear()  # it has forgotten
    ask_again(head)
    assert ec2_of(head).alive() == [instance]
    assert slurm_of(head).addresses == {"spot-1": instance.private_ip}
    assert [e["nodes"] for e in events(head, "launched-before")] == [["spot-1"]]
    ec2_of(head).lose(instance.id)
    ask_again(head, "3")
    assert len(ec2_of(head).alive()) == 1, "what has ended serves no node"


@pytest.mark.parametrize("moment", ["asked", "answered"])
def test_a_node_that_another_call_is_launching_is_launched_once(
    head: Head, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    ec2 = ec2_of(head)
    ec2.shown_after_s = 60.0
    launch, arrivals = ec2.launch, ec2.arrivals

    def launch_slowly(request: Mapping[str, Any]) -> Launched:
        if moment == "asked" and not ec2.requests:
            ask_again(head)
        return launch(request)

    def arrive_slowly(ids: Sequence[str]) -> Iterator[list[Instance]]:
        if moment == "answered" and ids:
            ask_again(head)
        return arrivals(ids)

    monkeypatch.setattr(ec2, "launch", launch_slowly)
    monkeypatch.setattr(ec2, "arrivals", arrive_slowly)
    start_job(head)
    (instance,) = ec2.alive()
    assert instance.node == "spot-1"
    assert "POWERING_UP" in slurm_of(head).flags["spot-1"]


@pytest.mark.parametrize("how", ["stuck", "unanswered"])
def test_an_instance_that_was_to_be_ended_serves_no_node(
    head: Head, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    ec2, slurm = ec2_of(head), slurm_of(head)
    start_job(head)
    slurm.join("spot-1")
    slurm.finish(1)
    (old,) = ec2.alive()
    slurm.set_state(["spot-1"], "power_down")
    if how == "stuck":
        ec2.stuck.add(old.id)
        suspend(head, "spot-1")
    else:

        def fail(ids: Sequence[str]) -> list[str]:
            raise TemporaryError("EC2 does not end instances")

        with monkeypatch.context() as patch:
            patch.setattr(ec2, "terminate", fail)
            with pytest.raises(TemporaryError):
                suspend(head, "spot-1")
    start_job(head, "2")
    (new,) = [item for item in ec2.alive() if item.id != old.id]
    assert slurm.addresses == {"spot-1": new.private_ip}
    slurm.join("spot-1")
    ec2.stuck.clear()
    ec2.now[0] += head.cluster.orphan_grace_s + 1
    reconcile(head)
    assert [item.id for item in ec2.alive()] == [new.id]


def test_a_node_whose_power_is_taken_while_it_is_launched_keeps_no_instance(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    ec2 = ec2_of(head)
    launch = ec2.launch

    def launch_slowly(request: Mapping[str, Any]) -> Launched:
        slurm_of(head).set_state(["spot-1"], "power_down")
        suspend(head, "spot-1")
        return launch(request)

    monkeypatch.setattr(ec2, "launch", launch_slowly)
    start_job(head)
    assert ec2.alive() == []
    assert "spot-1" not in slurm_of(head).addresses


def test_a_job_that_a_node_could_not_start_waits_again_but_not_for_ever(head: Head) -> None:
    slurm = slurm_of(head)
    slurm.held = {7: 1, 8: 4}
    reconcile(head)
    assert slurm.waiting == [7]
    assert slurm.held == {8: 4}, "no node can start it: a person is to look"
    assert [e["jobs"] for e in events(head, "jobs-released")] == [[7]]


def test_a_long_queue_fits_into_a_call_of_squeue(tmp_path: Path) -> None:
    ids = range(100_000, 130_000)
    rows = "".join(f"{n}|astro|drp|1|name|campaign=dr1\n" for n in (*ids, 1))
    (tmp_path / "rows").write_text(rows)
    squeue = tmp_path / "squeue"
    squeue.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\ncat {tmp_path}/rows\n')
    squeue.chmod(0o755)
    found = SlurmCommands(tmp_path).describe_jobs(ids)
    assert set(found) == set(ids), "and a job that was not asked for is not among them"
    assert found[100_000].campaign == "dr1"
