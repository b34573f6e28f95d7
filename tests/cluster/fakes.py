"""A Slurm and an EC2 in memory that keep the rules of the real ones; their clock is turned."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsstpipe.cluster.config import Cluster
from lsstpipe.cluster.decide import Power
from lsstpipe.cluster.ec2 import Instance
from lsstpipe.cluster.events import EventLog
from lsstpipe.cluster.fleet import TAG_POOL, Job, Launched
from lsstpipe.cluster.head import Head
from lsstpipe.cluster.prices import read_prices
from lsstpipe.cluster.slurm import SlurmNode
from lsstpipe.cluster.state import State, StateFile


def make_pool(name: str = "spot", **changes: Any) -> dict[str, Any]:
    """Give the settings of a pool."""
    return {
        "name": name,
        "max_nodes": 4,
        "instance_types": ["m7a.xlarge", "m7i.xlarge"],
        "subnet_ids": ["subnet-1", "subnet-2"],
        "launch_template_id": "lt-0123456789abcdef0",
        "launch_template_version": "3",
        "cpus": 4,
        "memory_mb": 15000,
        "max_hourly_usd": 100.0,
        **changes,
    }


def make_settings(*pools: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Give the settings of a cluster."""
    return {
        "name": "test",
        "region": "us-east-1",
        "vpc_id": "vpc-1",
        "subnets": {f"subnet-{n}": {"vpc_id": "vpc-1", "zone": f"z{n}"} for n in (1, 2)},
        "pools": list(pools) or [make_pool()],
        "max_hourly_usd": 200.0,
        **changes,
    }


PATIENCE_S = 90.0
"""How long is waited for EC2 to show an instance, as `Ec2Client` does."""


@dataclass
class FakeEc2:
    """EC2: markets with room for so many, instances that are shown late and may end by themselves.

    Attributes
    ----------
    now
        The clock's hand, seconds.
    room
        How many instances each market of each pool has left; no entry is without end.
    code
        What it answers where there is no room.
    throttled
        How many of the next requests it does not look at.
    shown_after_s
        How old an instance is before it is shown.
    stuck
        Ids of instances that cannot be ended.
    """

    now: list[float]
    room: dict[tuple[str, str], int] = field(default_factory=dict)
    code: str = "InsufficientInstanceCapacity"
    throttled: int = 0
    shown_after_s: float = 0.0
    all: dict[str, Instance] = field(default_factory=dict)
    requests: list[Mapping[str, Any]] = field(default_factory=list)
    answers: dict[str, Launched] = field(default_factory=dict)
    stuck: set[str] = field(default_factory=set)
    _ids: Any = field(default_factory=lambda: itertools.count(1))

    def launch(self, request: Mapping[str, Any]) -> Launched:
        """Launch what there is room for; the same token gets the same answer."""
        self.requests.append(request)
        token = request["ClientToken"]
        if self.throttled:
            self.throttled -= 1
            return Launched((), (("RequestLimitExceeded", "simulated"),))
        if token in self.answers:
            return self.answers[token]
        wanted = request["TargetCapacitySpecification"]
        tags = {t["Key"]: t["Value"] for t in request["TagSpecifications"][0]["Tags"]}
        override = request["LaunchTemplateConfigs"][0]["Overrides"][0]
        market = wanted["DefaultTargetCapacityType"]
        key = (tags[TAG_POOL], market)
        asked = wanted["TotalTargetCapacity"]
        n = min(asked, self.room.get(key, asked))
        if key in self.room:
            self.room[key] -= n
        ids = []
        for _ in range(n):
            number = next(self._ids)
            item = Instance(
                f"i-{number:08x}", "", tags[TAG_POOL], Power.ALIVE, self.now[0],
                f"10.0.{number // 250}.{number % 250}", override["InstanceType"], market,
            )  # fmt: skip
            self.all[item.id] = item
            ids.append(item.id)
        errors = () if n == asked else ((self.code, "simulated"),)
        self.answers[token] = Launched(tuple(ids), errors)
        return self.answers[token]

    def instances(self) -> list[Instance]:
        """Give what is old enough to be shown."""
        return [
            item for item in self.all.values() if self.now[0] - item.launched >= self.shown_after_s
        ]

    def arrivals(self, ids: Sequence[str]) -> Iterator[list[Instance]]:
        """Give instances that live, unless they are shown too late."""
        if self.shown_after_s <= PATIENCE_S:
            yield [self.all[key] for key in ids if self.all[key].power is Power.ALIVE]

    def name(self, nodes: Mapping[str, str]) -> None:
        """Tell instances which nodes they are."""
        for key, node in nodes.items():
            self._change(key, node=node)

    def terminate(self, ids: Sequence[str]) -> list[str]:
        """End instances, but for those that are not shown; give those that cannot be ended."""
        shown = {item.id for item in self.instances()}
        for key in ids:
            if key in shown - self.stuck:
                self._change(key, power=Power.ENDING, reason="Client.UserInitiatedShutdown")
        return [key for key in ids if key in shown & self.stuck]

    def lose(self, key: str) -> None:
        """Let the Spot market take an instance back."""
        self._change(key, power=Power.ENDING, reason="Server.SpotInstanceTermination")

    def alive(self) -> list[Instance]:
        """Give all that live, shown or not."""
        return [item for item in self.all.values() if item.power is Power.ALIVE]

    def _change(self, key: str, **changes: Any) -> None:
        item = self.all[key]
        values = {name: getattr(item, name) for name in Instance.__dataclass_fields__}
        self.all[key] = Instance(**(values | changes))


@dataclass
class FakeSlurm:
    """Slurm: nodes that power up and down, and jobs that wait for them.

    Attributes
    ----------
    now
        The clock's hand, seconds.
    flags, addresses, reasons
        Of each node.
    waiting, running, done
        Jobs by id: those that wait, the nodes of those that run, those that ended.
    sizes
        How many nodes a job needs; no entry is one.
    booting
        The job of each node that is given to a job which cannot run yet.
    called
        Nodes without a job that were powered up: Slurm calls the program for them too.
    held
        Jobs that could not be started, and how often they were tried again.
    """

    now: list[float]
    flags: dict[str, frozenset[str]] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)
    running: dict[int, tuple[str, ...]] = field(default_factory=dict)
    done: list[int] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)
    booting: dict[str, int] = field(default_factory=dict)
    called: list[str] = field(default_factory=list)
    comments: dict[int, str] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)

    def nodes(self) -> list[SlurmNode]:
        """Give all nodes."""
        return [
            SlurmNode(n, f, self.reasons.get(n, ""), self.addresses.get(n, n))
            for n, f in self.flags.items()
        ]

    def set_state(self, names: Sequence[str], state: str, reason: str = "") -> None:
        """Change nodes as scontrol does; jobs of a node that goes down wait again."""
        for name in names:
            flags = self.flags[name]
            if state == "down":
                self.reasons[name] = reason
                self._requeue(name)
                self.flags[name] = (flags - _BASE - {"POWERING_UP"}) | {"DOWN"}
            elif state == "power_down":
                self._requeue(name)
                self.flags[name] = frozenset({"CLOUD", "POWERED_DOWN", *(flags & {"DOWN"})})
                self.addresses.pop(name, None)
            elif state in ("idle", "resume"):
                # One that was down is waited for; without power that is for ever.
                unheard = {"NOT_RESPONDING"} if state == "resume" and "DOWN" in flags else set()
                self.flags[name] = (flags - {"DOWN", "DRAIN"}) | {"IDLE"} | unheard
                self.reasons.pop(name, None)
            elif state == "power_up":
                self.flags[name] = frozenset({"IDLE", "CLOUD", "POWERING_UP"})
                self.called.append(name)

    def _requeue(self, name: str) -> None:
        """Let the job of a node wait again; its other nodes have no work then."""
        jobs = [job for job, nodes in self.running.items() if name in nodes]
        jobs += [self.booting[name]] if name in self.booting else []
        for job in jobs:
            nodes = self.running.pop(job, ())
            nodes += tuple(n for n, of in self.booting.items() if of == job)
            for node in nodes:
                self.booting.pop(node, None)
                self.flags[node] = (self.flags[node] - _BASE) | {"IDLE"}
            self.waiting.append(job)

    def set_addresses(self, addresses: Mapping[str, str]) -> None:
        """Note addresses."""
        self.addresses |= addresses

    def describe_jobs(self, ids: Iterable[int]) -> dict[int, Job]:
        """Give what is known of jobs."""
        return {key: Job(key, "astro", "drp", "dr1") for key in ids}

    def comment(self, jobs: Sequence[int], text: str) -> None:
        """Leave a note."""
        self.comments |= dict.fromkeys(jobs, text)

    def held_jobs(self) -> dict[int, int]:
        """Give the jobs that could not be started, and how often they were tried again."""
        return self.held

    def release(self, jobs: Sequence[int]) -> None:
        """Let held jobs wait again."""
        for job in jobs:
            del self.held[job]
            self.waiting.append(job)

    def schedule(self) -> list[tuple[int, str]]:
        """Give waiting jobs to nodes: idle ones with power first, then ones without power.

        Returns
        -------
        list of tuple
            Jobs and the nodes that must power up for them.
        """
        free = [
            n for n, f in self.flags.items()
            if "IDLE" in f and not f & {"POWERING_UP", "POWERED_DOWN", "POWERING_DOWN", "DRAIN"}
        ]  # fmt: skip
        asleep = [
            n for n, f in self.flags.items()
            if "POWERED_DOWN" in f and not f & {"DOWN", "DRAIN", "NOT_RESPONDING"}
        ]  # fmt: skip
        wanted: list[tuple[int, str]] = []
        for job in list(self.waiting):
            size = self.sizes.get(job, 1)
            nodes = (free + asleep)[:size]
            if len(nodes) < size:
                continue
            self.waiting.remove(job)
            wanted += [(job, name) for name in nodes if name in asleep]
            self._allocate(job, nodes, [name for name in nodes if name in asleep])
            free = [name for name in free if name not in nodes]
            asleep = [name for name in asleep if name not in nodes]
        return wanted

    def _allocate(self, job: int, nodes: Sequence[str], asleep: Sequence[str]) -> None:
        """Give nodes to a job; it runs once all of them have power."""
        if not asleep:
            self.start(job, *nodes)
            return
        for name in nodes:
            power = {"POWERING_UP"} if name in asleep else set()
            self.flags[name] = frozenset({"ALLOCATED", "CLOUD"} | power)
            self.booting[name] = job

    def start(self, job: int, *names: str) -> None:
        """Let a job run on nodes."""
        self.running[job] = names
        for name in names:
            self.flags[name] = frozenset({"ALLOCATED", "CLOUD"})
            self.booting.pop(name, None)

    def join(self, name: str) -> None:
        """Let a node that powers up come in."""
        if "POWERING_UP" not in self.flags[name]:
            return
        self.flags[name] = frozenset({"IDLE", "CLOUD"})
        if name in self.booting:
            job = self.booting[name]
            self.flags[name] = frozenset({"ALLOCATED", "CLOUD"})
            nodes = [n for n, of in self.booting.items() if of == job]
            if not any("POWERING_UP" in self.flags[n] for n in nodes):
                self.start(job, *nodes)

    def finish(self, job: int) -> None:
        """Let a job end."""
        for name in self.running.pop(job):
            self.flags[name] = frozenset({"IDLE", "CLOUD"})
        self.done.append(job)

    def idle(self) -> list[str]:
        """Give nodes with power and without work."""
        return [n for n, f in self.flags.items() if f == frozenset({"IDLE", "CLOUD"})]


_BASE = frozenset({"IDLE", "ALLOCATED", "MIXED", "COMPLETING"})


class StateInMemory(StateFile):
    """The state without a file: thousands of steps need not wait for a disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.state = State()
        self.beaten = -math.inf

    @contextmanager
    def hold(self) -> Iterator[State]:
        """Give the state."""
        yield self.state

    def beat(self, now: float) -> None:
        """Give the sign of life."""
        self.beaten = now

    def silence_s(self, now: float) -> float:
        """Give how long there has been no sign of life."""
        return now - self.beaten


def make_head(folder: Path, settings: dict[str, Any] | None = None) -> Head:
    """Make a head node with the fakes; ``head.ec2.now[0]`` is its clock."""
    cluster = Cluster.model_validate(settings or make_settings())
    now = [1_800_000_000.0]
    slurm = FakeSlurm(now)
    for pool in cluster.pools:
        for name in pool.node_names():
            slurm.flags[name] = frozenset({"IDLE", "CLOUD", "POWERED_DOWN"})
    head = Head(
        cluster,
        read_prices("us-east-1"),
        slurm,
        FakeEc2(now),
        StateInMemory(folder),
        EventLog(folder / "events.jsonl", cluster.name, lambda: now[0]),
        folder,
        lambda: now[0],
    )
    head.state.beat(now[0])
    return head
