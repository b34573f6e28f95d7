"""Reconcile: make Slurm and EC2 agree, again and again; the safety net under everything else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lsstpipe.cluster.decide import (
    Act,
    Action,
    InstanceView,
    NodeView,
    Power,
    decide,
    decide_orphan,
)
from lsstpipe.cluster.ec2 import Instance
from lsstpipe.cluster.head import Head
from lsstpipe.cluster.slurm import SlurmNode
from lsstpipe.cluster.state import State
from lsstpipe.errors import TemporaryError

BREAKER = "breaker"
"""Code of a pool that rests because its nodes do not boot."""

_STATES: dict[Act, tuple[str, ...]] = {
    # Down first: Slurm then requeues the job at once; the power goes after it.
    Act.DOWN: ("down", "power_down"),
    Act.HOLD: ("down",),
    Act.POWER_DOWN: ("power_down",),
    Act.TERMINATE_AND_POWER_DOWN: ("down", "power_down"),
    # Not `resume`: that waits for a sign of life, which nobody gives without power.
    Act.RESUME: ("idle",),
    Act.POWER_UP: ("power_up",),
}
_WITHOUT_POWER = frozenset({"POWERED_DOWN", "POWERING_DOWN"})
_MOST_STARTS = 3
"""How often a job is tried again that could not be started."""
_TERMINATING = (Act.TERMINATE, Act.TERMINATE_AND_POWER_DOWN)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done to a node, and to its instance."""

    node: str
    action: Action
    instance: str


def reconcile(head: Head) -> list[Decision]:
    """Look at all nodes and instances once, and do what `decide` says.

    Parameters
    ----------
    head
        The head node.

    Returns
    -------
    list of Decision
        What was done, without those to whom nothing was.
    """
    # Slurm first: what is launched in between is then an instance too young to be an orphan.
    nodes = [n for n in head.slurm.nodes() if head.cluster.find_pool(n.name) is not None]
    instances = head.ec2.instances()
    with head.state.hold() as state:
        own, orphans = _pair(nodes, instances, state.assigned)
        _wake_pools(head, state)
        decisions = [
            Decision(node.name, action, own[node.name].id if node.name in own else "")
            for node in nodes
            if (action := _decide(head, state, node, own.get(node.name))).act is not Act.NOTHING
        ]
        _count_boots(head, state, nodes, decisions)
        _forget(state, nodes, instances, decisions)
    for item in orphans:
        view = _view(item, head.now())
        if decide_orphan(view, head.cluster).act is Act.TERMINATE:
            decisions.append(Decision("", decide_orphan(view, head.cluster), item.id))
    _apply(head, decisions)
    _tell_addresses(head, nodes, own)
    _release_jobs(head)
    head.state.beat(head.now())
    head.events.emit(
        "reconciled",
        nodes=len(nodes),
        instances=sum(item.power is Power.ALIVE for item in instances),
        actions=len(decisions),
        hourly_usd=head.spending(instances).total,
    )
    return decisions


def _forget(
    state: State,
    nodes: Sequence[SlurmNode],
    instances: Sequence[Instance],
    decisions: Sequence[Decision],
) -> None:
    """Forget the instances of nodes whose life is over.

    Only those that have ended or are about to: what `resume` has launched since Slurm was asked is
    not among them.
    """
    ended = {item.id for item in instances if item.power is not Power.ALIVE}
    ended |= {d.instance for d in decisions if d.action.act in _TERMINATING}
    over = [node.name for node in nodes if node.flags & _WITHOUT_POWER]
    over += [d.node for d in decisions]
    state.forget(name for name in over if state.assigned.get(name) in ended)


def _pair(
    nodes: Sequence[SlurmNode], instances: Sequence[Instance], assigned: Mapping[str, str]
) -> tuple[dict[str, Instance], list[Instance]]:
    """Find the instance of each node; the rest are orphans, doubles among them.

    One that has ended is its node's only where the node was launched as it.
    """
    names = {node.name: node for node in nodes}
    own: dict[str, Instance] = {}
    orphans: list[Instance] = []
    # The newest that lives is the node's; of two that live the one that Slurm talks to.
    for item in sorted(instances, key=lambda i: (i.power is Power.ALIVE, i.launched)):
        if item.node not in names:
            orphans.append(item)
            continue
        if item.power is not Power.ALIVE and assigned.get(item.node) != item.id:
            continue
        before = own.get(item.node)
        is_spoken_to = before is not None and names[item.node].address == before.private_ip
        if before is None or before.power is not Power.ALIVE:
            own[item.node] = item
        elif is_spoken_to:
            orphans.append(item)
        else:
            own[item.node] = item
            orphans.append(before)
    return own, orphans


def _decide(head: Head, state: State, node: SlurmNode, instance: Instance | None) -> Action:
    now = head.now()
    pool = head.cluster.find_pool(node.name)
    is_resting = pool is not None and state.is_resting(pool.name, now)
    view = NodeView(node.name, node.flags, node.reason, state.age_s(node.name, node.flags, now))
    found = None if instance is None else _view(instance, now)
    return decide(view, found, head.cluster, is_resting=is_resting)


def _view(item: Instance, now: float) -> InstanceView:
    return InstanceView(item.id, item.power, now - item.launched, item.reason, item.private_ip)


def _wake_pools(head: Head, state: State) -> None:
    """Let pools whose time is over launch again."""
    for name in [n for n, rest in state.rests.items() if head.now() >= rest.until]:
        del state.rests[name]
        head.events.emit("pool-returns", pool=name)


def _count_boots(
    head: Head, state: State, nodes: Sequence[SlurmNode], decisions: Sequence[Decision]
) -> None:
    """Count nodes in a row that do not boot; too many of them open the breaker of their pool."""
    failed = {d.node for d in decisions if d.action.is_boot_failure}
    for node in nodes:
        pool = head.cluster.find_pool(node.name)
        if pool is None:
            continue
        if node.name in failed:
            state.boot_failures[pool.name] = state.boot_failures.get(pool.name, 0) + 1
        elif node.flags & {"ALLOCATED", "MIXED"} and not node.flags & {
            "POWERING_UP", "POWERED_DOWN", "NOT_RESPONDING",
        }:  # fmt: skip
            state.boot_failures[pool.name] = 0
    for name, count in state.boot_failures.items():
        if count >= head.cluster.breaker_limit and name not in state.rests:
            state.rest(name, BREAKER, math.inf)
            reason = f"{count} nodes in a row did not join"
            head.events.emit("breaker-open", pool=name, reason=reason)


def close_breaker(head: Head, pool: str) -> None:
    """Let a pool launch again whose breaker a person has looked at.

    Parameters
    ----------
    head
        The head node.
    pool
        Name of the pool.
    """
    with head.state.hold() as state:
        state.rests.pop(pool, None)
        state.boot_failures.pop(pool, None)
    head.events.emit("pool-returns", pool=pool)


def _apply(head: Head, decisions: Sequence[Decision]) -> None:
    """Do it: instances end first, so that a node that is set down does not speak any more."""
    ending = [d.instance for d in decisions if d.action.act in _TERMINATING and d.instance]
    if stuck := set(head.ec2.terminate(ending)) if ending else set():
        # Their nodes stay as they are: with power again, a node would have two instances.
        left = [d.node or d.instance for d in decisions if d.instance in stuck]
        head.events.emit(
            "action-failed", nodes=left, action="terminate", message="EC2 does not end them"
        )
        decisions = [d for d in decisions if d.instance not in stuck]
    for (act, why), names in _group(decisions).items():
        try:
            for state in _STATES.get(act, ()):
                head.slurm.set_state(names, state, why if state == "down" else "")
        except TemporaryError as error:
            # The others must not wait for it; the next look finds it again.
            head.events.emit("action-failed", nodes=names, action=act.value, message=str(error))
    for decision in decisions:
        if decision.node:
            head.events.emit(
                "node-action",
                node=decision.node,
                action=decision.action.act.value,
                reason=decision.action.why,
                instance=decision.instance,
            )
        else:
            head.events.emit("orphan-ended", instance=decision.instance, reason=decision.action.why)


def _tell_addresses(head: Head, nodes: Sequence[SlurmNode], own: Mapping[str, Instance]) -> None:
    """Tell Slurm where nodes are that power up, if `resume` could not: slurmctld was away."""
    addresses = {
        node.name: own[node.name].private_ip
        for node in nodes
        if "POWERING_UP" in node.flags
        and node.name in own
        and own[node.name].power is Power.ALIVE
        and own[node.name].private_ip not in {"", node.address}
    }
    if addresses:
        head.slurm.set_addresses(addresses)


def _release_jobs(head: Head) -> None:
    """Let jobs wait again that a node could not start, such as one whose disk is full.

    Slurm drains that node, so the next one has another; it holds the job until a person releases
    it. One that no node can start stays held.
    """
    released = [job for job, n in head.slurm.held_jobs().items() if n <= _MOST_STARTS]
    if released:
        head.slurm.release(released)
        head.events.emit("jobs-released", jobs=released)


def _group(decisions: Sequence[Decision]) -> dict[tuple[Act, str], list[str]]:
    groups: dict[tuple[Act, str], list[str]] = {}
    for decision in decisions:
        if decision.node:
            key = (decision.action.act, decision.action.why)
            groups.setdefault(key, []).append(decision.node)
    return groups
