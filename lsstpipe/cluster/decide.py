"""What to do about a node: one table of what Slurm says, what EC2 says, and for how long.

States of Slurm are sets of flags of which some must be there, never strings to be equal to: their
spelling has changed between versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lsstpipe.cluster.config import Cluster
from lsstpipe.cluster.errors import ErrorClass, classify


class Act(Enum):
    """What is done to a node or an instance."""

    NOTHING = "nothing"
    DOWN = "down"  # Slurm requeues what ran there; a power-down follows
    HOLD = "hold"  # down and nothing else: it has no power
    POWER_DOWN = "power_down"
    RESUME = "resume"  # back to idle, without power
    POWER_UP = "power_up"
    TERMINATE = "terminate"
    TERMINATE_AND_POWER_DOWN = "terminate_and_power_down"


class Power(Enum):
    """What EC2 says of an instance."""

    ABSENT = "absent"
    ALIVE = "alive"  # pending or running
    ENDING = "ending"  # shutting down, stopping, stopped or terminated


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as Slurm shows it.

    Attributes
    ----------
    name
        Its name.
    flags
        Its state in capitals, such as ``{"IDLE", "CLOUD", "POWERING_UP"}``.
    reason
        Why it is down.
    age_s
        How long it has been in this state, as far as `reconcile` has seen it.
    """

    name: str
    flags: frozenset[str]
    reason: str = ""
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class InstanceView:
    """An instance as EC2 shows it: its id, state, age, and why it ended."""

    id: str
    power: Power
    age_s: float = 0.0
    reason: str = ""
    private_ip: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """What to do, and why in words that a person may read in the log."""

    act: Act
    why: str = ""
    is_boot_failure: bool = False


_NOTHING = Action(Act.NOTHING)
_BUSY = frozenset({"MIXED", "ALLOCATED", "COMPLETING"})
_WORKING = _BUSY | {"IDLE"}


def decide(
    node: NodeView, instance: InstanceView | None, cluster: Cluster, *, is_resting: bool = False
) -> Action:
    """Decide what to do about a node of ours.

    Parameters
    ----------
    node
        What Slurm says.
    instance
        What EC2 says; None where it shows no instance of that node.
    cluster
        How long things may take; which nodes are always there.
    is_resting
        Whether the node's pool waits for capacity to return, or its breaker is open.
    """
    power = Power.ABSENT if instance is None else instance.power
    flags = node.flags
    if "POWERING_DOWN" in flags:
        return _while_powering_down(power)
    if "POWERED_DOWN" in flags:
        return _while_powered_down(node, instance, power, cluster, is_resting=is_resting)
    if "POWERING_UP" in flags:
        return _while_powering_up(node, instance, power, cluster)
    if "INVALID_REG" in flags:
        why = "the node registered with other hardware than slurm.conf says"
        return _give_up(power, why, is_boot_failure=power is Power.ALIVE)
    if "DOWN" in flags:
        return _give_up(power, f"the node is down: {node.reason}")
    if "DRAIN" in flags and not flags & _BUSY:
        return _give_up(power, f"the node is drained: {node.reason}")
    return _while_working(node, instance, power, cluster) if flags & _WORKING else _NOTHING


def _give_up(power: Power, why: str, *, is_boot_failure: bool = False) -> Action:
    """Take the power from a node that is of no use."""
    act = Act.TERMINATE_AND_POWER_DOWN if power is Power.ALIVE else Act.POWER_DOWN
    return Action(act, why, is_boot_failure)


def _while_powering_down(power: Power) -> Action:
    if power is Power.ALIVE:
        return Action(Act.TERMINATE, "Slurm has no more use for it")
    return _NOTHING


def _while_powered_down(
    node: NodeView,
    instance: InstanceView | None,
    power: Power,
    cluster: Cluster,
    *,
    is_resting: bool,
) -> Action:
    """Without power: nothing may run, and nodes that failed come back when their pool does."""
    if power is Power.ALIVE:
        # Slurm may just be about to say that the node powers up: young ones are left alone.
        if instance is not None and instance.age_s > cluster.orphan_grace_s:
            return Action(Act.TERMINATE, "its node has no power")
        return _NOTHING
    if node.flags & {"DOWN", "DRAIN"} and not is_resting:
        # Slurm's own word for a node that did not boot; reconcile was away, or it would be first.
        is_boot_failure = "ResumeTimeout" in node.reason
        return Action(Act.RESUME, "its pool may launch again", is_boot_failure)
    if is_resting and not node.flags & {"DOWN", "DRAIN"}:
        # Else a job would try each node of the pool in turn, and be requeued from each.
        return Action(Act.HOLD, "its pool rests")
    if node.flags >= {"IDLE", "NOT_RESPONDING"}:
        # Slurm gives it no job until it speaks; without power it will not. This clears the flag.
        return Action(Act.POWER_DOWN, "Slurm waits for a sign of life from it")
    pool = cluster.find_pool(node.name)
    if pool is not None and pool.is_static(node.name) and not is_resting:
        return Action(Act.POWER_UP, "the node is always there")
    return _NOTHING


def _while_powering_up(
    node: NodeView, instance: InstanceView | None, power: Power, cluster: Cluster
) -> Action:
    if power is Power.ENDING:
        reason = instance.reason if instance is not None else ""
        why = f"the instance ended while it booted: {reason}"
        return Action(Act.DOWN, why, is_boot_failure=_is_its_own_end(reason))
    if power is Power.ALIVE and instance is not None and instance.age_s > cluster.boot_timeout_s:
        why = f"the node did not join within {cluster.boot_timeout_s:.0f} s"
        return Action(Act.TERMINATE_AND_POWER_DOWN, why, is_boot_failure=True)
    # EC2 shows a new instance late; a launch that was refused has set the node down already.
    if power is Power.ABSENT and node.age_s > cluster.boot_timeout_s:
        return Action(Act.DOWN, "no instance was launched for the node")
    return _NOTHING


def _is_its_own_end(reason: str) -> bool:
    """Tell whether an instance could not start or shut itself down: neither EC2 nor we ended it.

    EC2 begins its reasons with ``Server.`` where it was the cause, else with ``Client.``; what we
    end is ``Client.UserInitiatedShutdown`` (StateReason in the API reference of EC2).
    """
    return reason.startswith("Client.") and not reason.startswith("Client.UserInitiatedShutdown")


def _while_working(
    node: NodeView, instance: InstanceView | None, power: Power, cluster: Cluster
) -> Action:
    if power is Power.ENDING:
        reason = instance.reason if instance is not None else ""
        return Action(Act.DOWN, f"the instance ended: {reason}")
    if power is Power.ABSENT and node.age_s > cluster.orphan_grace_s:
        return Action(Act.DOWN, "EC2 shows no instance of the node")
    return _NOTHING


def decide_orphan(instance: InstanceView, cluster: Cluster) -> Action:
    """Decide what to do about an instance of ours that is no node's.

    Parameters
    ----------
    instance
        What EC2 says.
    cluster
        How old it must be.
    """
    if instance.power is Power.ALIVE and instance.age_s > cluster.orphan_grace_s:
        return Action(Act.TERMINATE, "it belongs to no node")
    return _NOTHING


def cooldown_s(code: str, cluster: Cluster) -> float:
    """Give how long a pool rests after an error of a launch, seconds.

    Parameters
    ----------
    code
        Error code of EC2.
    cluster
        How long for which class.
    """
    match classify(code):
        case ErrorClass.CAPACITY:
            return cluster.capacity_cooldown_s
        case ErrorClass.QUOTA:
            return cluster.quota_cooldown_s
        case ErrorClass.THROTTLE:
            return 0.0
        case ErrorClass.FATAL:
            return float("inf")
