"""The table of what is done about a node: every state of Slurm with every state of its instance."""

from __future__ import annotations

from pathlib import Path

import pytest

from lsstpipe.cluster.config import Cluster
from lsstpipe.cluster.decide import (
    Act,
    InstanceView,
    NodeView,
    Power,
    cooldown_s,
    decide,
    decide_orphan,
)
from lsstpipe.cluster.head import Head
from lsstpipe.cluster.reconcile import reconcile
from lsstpipe.cluster.resume import resume
from tests.cluster.fakes import FakeEc2, FakeSlurm, make_head, make_pool, make_settings

CLUSTER = Cluster.model_validate(make_settings(make_pool(min_nodes=1)))
STATIC, ELASTIC = "spot-1", "spot-2"
GRACE_S, BOOT_S = CLUSTER.orphan_grace_s, CLUSTER.boot_timeout_s
YOUNG_S, OLD_S = 1.0, BOOT_S + 1
NONE, ALIVE, ENDED = Power.ABSENT, Power.ALIVE, Power.ENDING
N, D, H, PD, R, PU, T, TPD = (
    Act.NOTHING, Act.DOWN, Act.HOLD, Act.POWER_DOWN, Act.RESUME, Act.POWER_UP, Act.TERMINATE,
    Act.TERMINATE_AND_POWER_DOWN,
)  # fmt: skip

# Flags of Slurm; what is done where there is no instance, where it lives, where it has ended. Node
# and instance are young in the first three, and older than anything may take in the last three.
TABLE = [
    ("IDLE POWERING_UP", (N, N, D), (D, TPD, D)),
    ("ALLOCATED POWERING_UP", (N, N, D), (D, TPD, D)),
    ("MIXED POWERING_UP NOT_RESPONDING", (N, N, D), (D, TPD, D)),
    # What powers up is not judged by anything else: its launch has set it down, or will.
    ("DOWN POWERING_UP", (N, N, D), (D, TPD, D)),
    ("IDLE POWERED_DOWN", (N, N, N), (N, T, N)),
    ("IDLE POWERED_DOWN NOT_RESPONDING", (PD, N, PD), (PD, T, PD)),
    ("DOWN POWERED_DOWN", (R, N, R), (R, T, R)),
    ("IDLE DRAIN POWERED_DOWN", (R, N, R), (R, T, R)),
    ("IDLE POWERING_DOWN", (N, T, N), (N, T, N)),
    ("DOWN POWERING_DOWN", (N, T, N), (N, T, N)),
    ("IDLE POWERING_DOWN POWERED_DOWN", (N, T, N), (N, T, N)),
    ("IDLE", (N, N, D), (D, N, D)),
    ("ALLOCATED", (N, N, D), (D, N, D)),
    ("MIXED", (N, N, D), (D, N, D)),
    ("IDLE COMPLETING", (N, N, D), (D, N, D)),
    ("IDLE NOT_RESPONDING", (N, N, D), (D, N, D)),
    ("DOWN", (PD, TPD, PD), (PD, TPD, PD)),
    ("DOWN NOT_RESPONDING", (PD, TPD, PD), (PD, TPD, PD)),
    ("IDLE DRAIN", (PD, TPD, PD), (PD, TPD, PD)),
    # A node that drains works until its jobs have ended.
    ("ALLOCATED DRAIN", (N, N, D), (D, N, D)),
    ("IDLE COMPLETING DRAIN", (N, N, D), (D, N, D)),
    ("IDLE INVALID_REG", (PD, TPD, PD), (PD, TPD, PD)),
    ("DOWN DRAIN INVALID_REG", (PD, TPD, PD), (PD, TPD, PD)),
    # Nothing is known of it: nothing is done to it.
    ("UNKNOWN", (N, N, N), (N, N, N)),
    ("FUTURE", (N, N, N), (N, N, N)),
]
ROWS = [
    pytest.param(flags, power, age_s, act, id=f"{flags}-{power.value}-{age}".replace(" ", "+"))
    for flags, young, old in TABLE
    for age, age_s, acts in (("young", YOUNG_S, young), ("old", OLD_S, old))
    for power, act in zip((NONE, ALIVE, ENDED), acts, strict=True)
]


def look(
    flags: str, power: Power, age_s: float, *, node: str = ELASTIC, reason: str = ""
) -> tuple[NodeView, InstanceView | None]:
    """Give a node and its instance as Slurm and EC2 show them."""
    view = NodeView(node, frozenset({"CLOUD", *flags.split()}), "somehow", age_s)
    return view, None if power is NONE else InstanceView("i-1", power, age_s, reason)


@pytest.mark.parametrize(("flags", "power", "age_s", "act"), ROWS)
def test_each_row_of_the_table(flags: str, power: Power, age_s: float, act: Act) -> None:
    action = decide(*look(flags, power, age_s), CLUSTER)
    assert action.act is act
    assert bool(action.why) == (act is not N), "a person reads in the log why"


@pytest.mark.parametrize(("flags", "power", "age_s", "act"), ROWS)
def test_a_node_that_is_always_there_differs_only_where_it_has_no_power(
    flags: str, power: Power, age_s: float, act: Act
) -> None:
    is_asleep = flags == "IDLE POWERED_DOWN" and power is not ALIVE
    action = decide(*look(flags, power, age_s, node=STATIC), CLUSTER)
    assert action.act is (PU if is_asleep else act)


@pytest.mark.parametrize(
    ("flags", "power", "act"),
    [
        ("IDLE POWERED_DOWN", NONE, H),
        ("IDLE POWERED_DOWN", ENDED, H),
        ("IDLE POWERED_DOWN NOT_RESPONDING", NONE, H),
        ("IDLE POWERED_DOWN", ALIVE, T),
        ("DOWN POWERED_DOWN", NONE, N),
        ("DOWN POWERED_DOWN", ENDED, N),
        ("IDLE DRAIN POWERED_DOWN", NONE, N),
        ("DOWN POWERED_DOWN", ALIVE, T),
        # What has power already goes on.
        ("ALLOCATED POWERING_UP", ALIVE, TPD),
        ("ALLOCATED", ALIVE, N),
        ("ALLOCATED", ENDED, D),
        ("DOWN", NONE, PD),
        ("IDLE POWERING_DOWN", ALIVE, T),
    ],
)
@pytest.mark.parametrize("node", [STATIC, ELASTIC])
def test_while_its_pool_rests_a_node_without_power_is_held_and_none_is_powered_up(
    flags: str, power: Power, act: Act, node: str
) -> None:
    assert decide(*look(flags, power, OLD_S, node=node), CLUSTER, is_resting=True).act is act


@pytest.mark.parametrize(
    ("flags", "power", "limit_s", "act"),
    [
        ("IDLE POWERED_DOWN", ALIVE, GRACE_S, T),
        ("IDLE", NONE, GRACE_S, D),
        ("IDLE POWERING_UP", ALIVE, BOOT_S, TPD),
        ("IDLE POWERING_UP", NONE, BOOT_S, D),
    ],
)
def test_what_may_take_time_may_take_exactly_so_long(
    flags: str, power: Power, limit_s: float, act: Act
) -> None:
    assert decide(*look(flags, power, limit_s), CLUSTER).act is N
    assert decide(*look(flags, power, limit_s + 0.1), CLUSTER).act is act


@pytest.mark.parametrize(
    ("flags", "power", "age_s", "reason", "is_counted"),
    [
        ("IDLE INVALID_REG", ALIVE, YOUNG_S, "", True),
        ("IDLE INVALID_REG", NONE, YOUNG_S, "", False),
        ("IDLE INVALID_REG", ENDED, YOUNG_S, "", False),
        ("IDLE POWERING_UP", ALIVE, OLD_S, "", True),
        ("IDLE POWERING_UP", NONE, OLD_S, "", False),
        ("IDLE POWERING_UP", ENDED, YOUNG_S, "Client.InternalError: on launch", True),
        ("IDLE POWERING_UP", ENDED, YOUNG_S, "Client.UserInitiatedShutdown", False),
        ("IDLE POWERING_UP", ENDED, YOUNG_S, "Server.SpotInstanceTermination", False),
        ("ALLOCATED", ENDED, YOUNG_S, "Client.InternalError", False),
        ("DOWN", ALIVE, YOUNG_S, "", False),
    ],
)
def test_only_what_did_not_boot_by_its_own_fault_counts_against_the_breaker(
    flags: str, power: Power, age_s: float, reason: str, is_counted: bool
) -> None:
    action = decide(*look(flags, power, age_s, reason=reason), CLUSTER)
    assert action.is_boot_failure is is_counted
    assert reason in action.why or power is not ENDED


def test_an_instance_without_a_node_is_ended_when_it_is_old_enough() -> None:
    for power in Power:
        for age_s in (GRACE_S, GRACE_S + 1):
            act = decide_orphan(InstanceView("i-1", power, age_s), CLUSTER).act
            assert act is (T if power is ALIVE and age_s > GRACE_S else N)


def test_a_pool_rests_as_long_as_the_class_of_the_error_asks_for() -> None:
    seconds = {
        "InsufficientInstanceCapacity": CLUSTER.capacity_cooldown_s,
        "VcpuLimitExceeded": CLUSTER.quota_cooldown_s,
        "RequestLimitExceeded": 0.0,
        "InvalidAMIID.NotFound": float("inf"),
        "NeverHeardOf": float("inf"),
    }
    assert {code: cooldown_s(code, CLUSTER) for code in seconds} == seconds


def have_static_node(folder: Path) -> tuple[Head, FakeSlurm, FakeEc2]:
    """Give a head node whose pool has one node that is always there, with that node at work."""
    head = make_head(folder, make_settings(make_pool(min_nodes=1)))
    slurm, ec2 = head.slurm, head.ec2
    assert isinstance(slurm, FakeSlurm)
    assert isinstance(ec2, FakeEc2)
    assert [(d.node, d.action.act) for d in reconcile(head)] == [(STATIC, PU)]
    resume(head, STATIC, [], "first")
    slurm.join(STATIC)
    assert reconcile(head) == [], "it is there, and the other nodes are not wanted"
    return head, slurm, ec2


def test_a_static_node_that_was_lost_is_replaced_and_its_job_runs_again(tmp_path: Path) -> None:
    head, slurm, ec2 = have_static_node(tmp_path)
    (lost,) = ec2.alive()
    slurm.start(1, STATIC)
    ec2.lose(lost.id)
    acts = []
    for _ in range(3):
        acts += [(d.node, d.action.act) for d in reconcile(head)]
        ec2.now[0] += 30.0
    assert acts == [(STATIC, D), (STATIC, R), (STATIC, PU)]
    assert slurm.waiting == [1]
    resume(head, STATIC, [], "second")
    (new,) = ec2.alive()
    assert (new.node, slurm.addresses[STATIC]) == (STATIC, new.private_ip)
    slurm.join(STATIC)
    slurm.schedule()
    assert slurm.running == {1: (STATIC,)}
    assert reconcile(head) == []


def test_a_static_node_is_not_asked_for_again_and_again_while_its_pool_rests(
    tmp_path: Path,
) -> None:
    head, slurm, ec2 = have_static_node(tmp_path)
    ec2.lose(ec2.alive()[0].id)
    ec2.room |= {("spot", "spot"): 0, ("spot", "on-demand"): 0}
    n_asked = len(ec2.requests)
    for n in range(12):
        for decision in reconcile(head):
            if decision.action.act is PU:
                resume(head, STATIC, [], f"again {n}")
        ec2.now[0] += head.cluster.capacity_cooldown_s / 12
    assert len(ec2.requests) == n_asked + 2, "once: Spot, then on demand"
    ec2.room.clear()
    ec2.now[0] += head.cluster.capacity_cooldown_s
    ups = []
    for _ in range(3):
        ups += [d.node for d in reconcile(head) if d.action.act is PU]
        ec2.now[0] += 30.0
    assert ups == [STATIC]
    assert "POWERING_UP" in slurm.flags[STATIC]
