"""Thousands of nodes and jobs on a clock that is turned: what deciding costs, what EC2 is asked.

`resume`, `suspend` and `reconcile` are the real ones, with their state and events on disk. Slurm
and EC2 are models: machines boot as long as published measurements say, and each request of EC2
waits for a token of its bucket.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lsstpipe.cluster.assign import Wanted
from lsstpipe.cluster.config import Cluster
from lsstpipe.cluster.decide import Power
from lsstpipe.cluster.ec2 import VALUES_OF_A_FILTER, Instance
from lsstpipe.cluster.events import EventLog
from lsstpipe.cluster.fleet import Job, Launched
from lsstpipe.cluster.head import Head
from lsstpipe.cluster.hostlist import compress
from lsstpipe.cluster.prices import read_prices
from lsstpipe.cluster.reconcile import reconcile
from lsstpipe.cluster.resume import resume
from lsstpipe.cluster.slurm import SlurmNode
from lsstpipe.cluster.state import StateFile
from lsstpipe.cluster.suspend import suspend
from tests.cluster.fakes import FakeEc2, make_pool, make_settings

# "Request throttling for the Amazon EC2 API" (EC2 developer guide): size, tokens a second. It does
# not say whether CreateFleet takes from the bucket of instances of RunInstances: here it does.
BUCKETS = {
    "CreateFleet": (50, 5.0),
    "CreateTags": (100, 10.0),
    "DescribeInstances": (100, 20.0),
    "TerminateInstances": (100, 5.0),
    "instances launched": (1000, 2.0),
    "instances ended": (1000, 20.0),
}
PAGE = 1000
"""Instances of one answer of DescribeInstances, at most."""

# A c5.xlarge of a current Linux, from the call to an open port (C. Percival, "EC2 boot time
# benchmarking", 2021): the call 1.5 s, pending 4.9 s, to the kernel's network 17.2 s, the services
# 5.6 s. Others have 23 to 29 s from call to login. Own services (mount, agent, slurmd): assumed.
BOOT_S = 1.5 + 4.9 + 17.2 + 5.6
SCATTER_S = 6.0
SERVICES_S = 5.0
SLURM_LOOKS_S = 30.0
"""Slurm 22.05 looks this often whether a node that boots may begin to work."""

STEP_S, IDLE_S = 10.0, 300.0
"""How often Slurm looks, and how long a node without work stays (`PowerSaving`)."""

_WORKING = frozenset({"ALLOCATED", "CLOUD"})
_IDLE = frozenset({"IDLE", "CLOUD"})
_BOOTING = frozenset({"ALLOCATED", "CLOUD", "POWERING_UP"})
_ASLEEP = frozenset({"IDLE", "CLOUD", "POWERED_DOWN"})


class Bucket:
    """A token bucket on the clock that is turned.

    Parameters
    ----------
    size, rate
        Tokens when it is full, and how many come back a second.
    """

    def __init__(self, size: float, rate: float) -> None:
        self._size, self._rate = size, rate
        self._left, self._at = size, 0.0
        self.n_taken = 0

    def take(self, n: int, now: float) -> float:
        """Take tokens; give how long a caller waits for them, seconds."""
        passed = max(0.0, now - self._at)
        self._left = min(self._size, self._left + passed * self._rate) - n
        self._at = max(self._at, now)
        self.n_taken += n
        return max(0.0, -self._left / self._rate)


@dataclass
class MeteredEc2(FakeEc2):
    """EC2 that counts its requests, and says how long each waited for its bucket.

    Attributes
    ----------
    lag_s
        How long the calls of the program that runs now have waited.
    launched_at, named_at
        When each instance was launched, and when it got its name.
    """

    buckets: dict[str, Bucket] = field(
        default_factory=lambda: {name: Bucket(*values) for name, values in BUCKETS.items()}
    )
    longest_wait_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(BUCKETS, 0.0))
    launched_at: dict[str, float] = field(default_factory=dict)
    named_at: dict[str, float] = field(default_factory=dict)
    lag_s: float = 0.0

    def _ask(self, name: str, n: int = 1) -> None:
        wait_s = self.buckets[name].take(n, self.now[0] + self.lag_s)
        self.longest_wait_s[name] = max(self.longest_wait_s[name], wait_s)
        self.lag_s += wait_s

    def launch(self, request: Mapping[str, Any]) -> Launched:
        """Launch; all instances of a request wait for its last token."""
        answer = super().launch(request)
        self._ask("CreateFleet")
        self._ask("instances launched", len(answer.instance_ids))
        self.launched_at |= dict.fromkeys(answer.instance_ids, self.now[0] + self.lag_s)
        return answer

    def instances(self) -> list[Instance]:
        """Give what there is, page by page; what ended an hour ago is not shown any more."""
        now = self.now[0]
        for key in [k for k, item in self.all.items() if item.power is Power.ENDING]:
            if now - self.all[key].launched > 3600:
                del self.all[key]
        found = super().instances()
        self._ask("DescribeInstances", max(1, -(-len(found) // PAGE)))
        return found

    def arrivals(self, ids: Sequence[str]) -> Iterator[list[Instance]]:
        """Look once for what was launched."""
        if not ids:
            return
        self._ask("DescribeInstances", -(-len(ids) // VALUES_OF_A_FILTER))
        yield from super().arrivals(ids)

    def name(self, nodes: Mapping[str, str]) -> None:
        """Name instances, a request each."""
        for key in nodes:
            self._ask("CreateTags")
            self.named_at[key] = self.now[0] + self.lag_s
        super().name(nodes)

    def terminate(self, ids: Sequence[str]) -> list[str]:
        """End instances, 500 a request."""
        if ids:
            self._ask("DescribeInstances", max(1, -(-len(self.all) // PAGE)))
            self._ask("TerminateInstances", -(-len(ids) // 500))
            self._ask("instances ended", len(ids))
        return super().terminate(ids)


class PackedSlurm:
    """Slurm with jobs of one core, as many on a node as it has.

    Parameters
    ----------
    cluster
        Its pools.
    rng
        For the times of jobs.
    """

    def __init__(self, cluster: Cluster, rng: np.random.Generator) -> None:
        self.flags = {n: _ASLEEP for pool in cluster.pools for n in pool.node_names()}
        self.cores = {n: pool.cpus for pool in cluster.pools for n in pool.node_names()}
        self.addresses: dict[str, str] = {}
        self.waiting: deque[int] = deque()
        self.jobs: dict[str, list[int]] = {n: [] for n in self.flags}
        self.idle_since: dict[str, float] = {}
        self.ends: list[tuple[float, int, str]] = []
        self.done: set[int] = set()
        self.requests: Counter[str] = Counter()
        self._rng = rng

    def nodes(self) -> list[SlurmNode]:
        """Give all nodes."""
        self.requests["show nodes"] += 1
        return [SlurmNode(n, f, "", self.addresses.get(n, n)) for n, f in self.flags.items()]

    def set_state(self, names: Sequence[str], state: str, reason: str = "") -> None:
        """Change nodes; their jobs wait again."""
        self.requests["update node"] += -(-len(names) // 100)
        for name in names:
            if state in ("down", "power_down"):
                self.waiting.extendleft(self.jobs[name])
                self.jobs[name] = []
            if state == "down":
                self.flags[name] = frozenset({"DOWN", "CLOUD"}) | (self.flags[name] & _ASLEEP)
            elif state == "power_down":
                self.flags[name] = _ASLEEP if "DOWN" not in self.flags[name] else frozenset(
                    {"DOWN", "CLOUD", "POWERED_DOWN"}
                )  # fmt: skip
            elif state == "idle":
                self.flags[name] = _ASLEEP

    def set_addresses(self, addresses: Mapping[str, str]) -> None:
        """Note addresses."""
        self.requests["update node"] += -(-len(addresses) // 100)
        self.addresses |= addresses

    def describe_jobs(self, ids: Iterable[int]) -> dict[int, Job]:
        """Give what is known of jobs."""
        self.requests["show jobs"] += 1
        return {key: Job(key, "astro", "drp", "dr1") for key in ids}

    def comment(self, jobs: Sequence[int], text: str) -> None:
        """Leave a note."""
        self.requests["update job"] += len(jobs)

    def held_jobs(self) -> dict[int, int]:
        """Give none: every node can start its jobs."""
        self.requests["show jobs"] += 1
        return {}

    def release(self, jobs: Sequence[int]) -> None:
        """Do nothing, for there are none."""

    def power_up(self) -> list[Wanted]:
        """Give waiting jobs to nodes without power; those that must power up, by job."""
        wanted = []
        asleep = (n for n, f in self.flags.items() if f == _ASLEEP)
        while self.waiting and (name := next(asleep, None)) is not None:
            for _ in range(min(self.cores[name], len(self.waiting))):
                job = self.waiting.popleft()
                self.jobs[name].append(job)
                wanted.append(Wanted(Job(job), (name,)))
            self.flags[name] = _BOOTING
        return wanted

    def begin(self, name: str, now: float) -> None:
        """Let the jobs of a node begin, and others that wait where it has room."""
        self.flags[name] = _WORKING
        while self.waiting and len(self.jobs[name]) < self.cores[name]:
            self.jobs[name].append(self.waiting.popleft())
        for job in self.jobs[name]:
            self._start(job, name, now)

    def _start(self, job: int, name: str, now: float) -> None:
        heapq.heappush(self.ends, (now + float(self._rng.lognormal(6.4, 0.3)), job, name))
        self.requests["start and end of a job"] += 1

    def finish(self, now: float) -> None:
        """Let jobs end whose time has come; the next ones take their places."""
        while self.ends and self.ends[0][0] <= now:
            at, job, name = heapq.heappop(self.ends)
            if job not in self.jobs[name]:
                continue
            self.jobs[name].remove(job)
            self.done.add(job)
            if self.waiting:
                following = self.waiting.popleft()
                self.jobs[name].append(following)
                self._start(following, name, at)
            elif not self.jobs[name]:
                self.flags[name], self.idle_since[name] = _IDLE, at

    def idle(self, before: float) -> list[str]:
        """Give nodes that have had no work since then."""
        return [n for n, f in self.flags.items() if f == _IDLE and self.idle_since[n] <= before]

    def n_running(self) -> int:
        """Give how many cores are at work."""
        return sum(len(self.jobs[n]) for n, f in self.flags.items() if f == _WORKING)


@dataclass
class Outcome:
    """What came of a simulated campaign.

    Attributes
    ----------
    n_nodes, n_jobs
        Its size.
    wall_s
        How long it took, on the clock that is turned.
    reach_s
        When so many cores first worked.
    cpu_s
        CPU seconds of each call of each program.
    requests
        How often EC2 was asked, or how many instances it launched or ended.
    longest_wait_s
        For a token of each bucket.
    slurm
        Requests that slurmctld got.
    peak_nodes
        Most instances at once.
    """

    n_nodes: int
    n_jobs: int
    wall_s: float = 0.0
    reach_s: dict[int, float] = field(default_factory=dict)
    cpu_s: dict[str, list[float]] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    longest_wait_s: dict[str, float] = field(default_factory=dict)
    slurm: dict[str, int] = field(default_factory=dict)
    peak_nodes: int = 0


class Campaign:
    """A campaign of jobs of one core that all wait at once, from no node to none.

    Parameters
    ----------
    folder
        Of state and events.
    n_pools, n_nodes, cores
        Pools, nodes of each, and cores of each node.
    n_jobs
        Jobs.
    """

    def __init__(
        self, folder: Path, *, n_pools: int, n_nodes: int, cores: int, n_jobs: int
    ) -> None:
        dear = {"max_hourly_usd": 1e6, "cpus": cores, "max_nodes": n_nodes}
        pools = [make_pool(f"pool{n}", **dear) for n in range(n_pools)]
        cluster = Cluster.model_validate(make_settings(*pools, max_hourly_usd=1e6))
        self.now = [1_800_000_000.0]
        self.rng = np.random.default_rng(n_jobs)
        self.slurm, self.ec2 = PackedSlurm(cluster, self.rng), MeteredEc2(self.now)
        self.slurm.waiting.extend(range(1, n_jobs + 1))
        self.head = Head(
            cluster, read_prices("us-east-1"), self.slurm, self.ec2, StateFile(folder),
            EventLog(folder / "events.jsonl", cluster.name, lambda: self.now[0]),
            folder, lambda: self.now[0],
        )  # fmt: skip
        self.head.state.beat(self.now[0])
        self.outcome = Outcome(n_pools * n_nodes, n_jobs)
        self._booting: list[tuple[float, str]] = []
        self._events = itertools.count(1)

    def run(self, reach: Sequence[int] = ()) -> Outcome:
        """Run it, looking every 10 s as Slurm does and every 30 s as `reconcile` does."""
        begun, n_steps = self.now[0], itertools.count()
        while len(self.slurm.done) < self.outcome.n_jobs or self.ec2.alive():
            if next(n_steps) % 3 == 0:
                self._measure("reconcile", lambda: reconcile(self.head))
            self._launch()
            self.now[0] += STEP_S
            self._join()
            self.slurm.finish(self.now[0])
            if idle := self.slurm.idle(self.now[0] - IDLE_S):
                self.slurm.set_state(idle, "power_down")
                self._measure("suspend", lambda: suspend(self.head, compress(idle)))
            for n in reach:
                if n not in self.outcome.reach_s and self.slurm.n_running() >= n:
                    self.outcome.reach_s[n] = self.now[0] - begun
            self.outcome.peak_nodes = max(self.outcome.peak_nodes, len(self.ec2.alive()))
        self.outcome.wall_s = self.now[0] - begun
        self.outcome.requests = {name: b.n_taken for name, b in self.ec2.buckets.items()}
        self.outcome.longest_wait_s = dict(self.ec2.longest_wait_s)
        self.outcome.slurm = dict(self.slurm.requests)
        return self.outcome

    def _launch(self) -> None:
        """Let Slurm call for nodes; they boot once EC2 has launched and named them."""
        if not (wanted := self.slurm.power_up()):
            return
        names = list(dict.fromkeys(name for item in wanted for name in item.nodes))
        event = f"event {next(self._events)}"
        self._measure("resume", lambda: resume(self.head, compress(names), wanted, event))
        with self.head.state.hold() as state:
            launched = {name: state.assigned[name] for name in names if name in state.assigned}
        for name, key in launched.items():
            booted = self.ec2.launched_at[key] + BOOT_S
            booted += abs(float(self.rng.normal(0.0, SCATTER_S)))
            ready = max(booted, self.ec2.named_at[key]) + SERVICES_S
            heapq.heappush(self._booting, (ready + self.rng.uniform(0, SLURM_LOOKS_S), name))

    def _join(self) -> None:
        while self._booting and self._booting[0][0] <= self.now[0]:
            at, name = heapq.heappop(self._booting)
            if self.slurm.flags[name] == _BOOTING:
                self.slurm.begin(name, at)

    def _measure(self, name: str, call: Callable[[], Any]) -> None:
        self.ec2.lag_s = 0.0
        begun = time.process_time()
        call()
        self.outcome.cpu_s.setdefault(name, []).append(time.process_time() - begun)
