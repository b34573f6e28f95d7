"""How long a fleet takes for jobs that wait for one another: a simulation of the queue.

Jobs start in their order as soon as what they wait for is done and a machine has room; machines
come and go at given times, or as they are needed. Everything is deterministic.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """One job.

    Attributes
    ----------
    seconds, memory_mb
        What it takes; one processor.
    after
        Numbers of the jobs that it waits for.
    """

    seconds: float
    memory_mb: float
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Machines:
    """Machines of one kind.

    Attributes
    ----------
    n, cpus, memory_mb
        How many, and what each has.
    usd_per_h
        Price of one for an hour.
    begin_s, end_s
        From when until when they are paid for, seconds; those that are elastic begin with their
        first job and end when they have had none for `idle_s`.
    idle_s
        How long an elastic machine waits for a job; None for one that does not go by itself.
    boot_s
        How long one takes to start, seconds.
    """

    n: int
    cpus: int
    memory_mb: float
    usd_per_h: float
    begin_s: float = 0.0
    end_s: float = float("inf")
    idle_s: float | None = None
    boot_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a fleet took.

    Attributes
    ----------
    wall_s
        Until the last job ends, seconds.
    usd
        Price of the machines.
    idle_share
        Share of the processors that are paid for which ran nothing.
    n_jobs
        How many jobs ran.
    """

    wall_s: float
    usd: float
    idle_share: float
    n_jobs: int


@dataclass(slots=True)
class _Machine:
    kind: Machines
    free_cpus: int
    free_mb: float
    busy_s: float = 0.0
    paid_s: float = 0.0
    up_since: float | None = None
    idle_since: float = 0.0
    n_running: int = 0

    def has_room(self, memory_mb: float, now: float) -> bool:
        """Tell whether a job fits."""
        is_there = self.kind.begin_s <= now < self.kind.end_s
        return is_there and self.free_cpus > 0 and self.free_mb >= memory_mb


class _Queue:
    """Jobs that wait for others or, by the memory that they ask for, for room."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._missing = [len(job.after) for job in jobs]
        self._waiting_for: list[list[int]] = [[] for _ in jobs]
        self.ready: dict[float, deque[int]] = {}
        for number, job in enumerate(jobs):
            for other in job.after:
                self._waiting_for[other].append(number)
            if not job.after:
                self._add(number)

    def release(self, number: int) -> None:
        """Let those go on that have waited for a job."""
        for other in self._waiting_for[number]:
            self._missing[other] -= 1
            if self._missing[other] == 0:
                self._add(other)

    def _add(self, number: int) -> None:
        self.ready.setdefault(self._jobs[number].memory_mb, deque()).append(number)


def simulate(jobs: Sequence[Job], fleet: Sequence[Machines]) -> Usage:
    """Run jobs on a fleet.

    Parameters
    ----------
    jobs
        In the order in which those that could start at once are started.
    fleet
        The machines; the first kind that has room is taken.

    Returns
    -------
    usage
        What it took.

    Raises
    ------
    ValueError
        If a job fits no machine, or jobs wait for one another in a circle.
    """
    machines = [_Machine(kind, kind.cpus, kind.memory_mb) for kind in fleet for _ in range(kind.n)]
    queue = _Queue(jobs)
    # Machines that come are events too: -1 ends no job.
    events: list[tuple[float, int, int]] = [(k.begin_s, -1, -1) for k in fleet if k.begin_s > 0]
    heapq.heapify(events)
    now, last_end, n_done = 0.0, 0.0, 0
    while True:
        _start(queue, jobs, machines, events, now)
        if not events:
            break
        now, number, place = heapq.heappop(events)
        if number < 0:
            continue
        machine = machines[place]
        machine.free_cpus += 1
        machine.free_mb += jobs[number].memory_mb
        machine.n_running -= 1
        machine.idle_since = now
        last_end, n_done = now, n_done + 1
        queue.release(number)
    if n_done < len(jobs):
        raise ValueError(f"{len(jobs) - n_done} jobs fit no machine or wait for one another")
    return _sum_up(machines, last_end, n_done)


def _start(
    queue: _Queue,
    jobs: Sequence[Job],
    machines: Sequence[_Machine],
    events: list[tuple[float, int, int]],
    now: float,
) -> None:
    """Start every job that has room."""
    for memory_mb, numbers in sorted(queue.ready.items(), reverse=True):
        for place, machine in enumerate(machines):
            while numbers and machine.has_room(memory_mb, now):
                number = numbers.popleft()
                begin = now + _wake(machine, now)
                machine.free_cpus -= 1
                machine.free_mb -= memory_mb
                machine.n_running += 1
                machine.busy_s += jobs[number].seconds
                heapq.heappush(events, (begin + jobs[number].seconds, number, place))
            if not numbers:
                break


def _wake(machine: _Machine, now: float) -> float:
    """Pay for a machine from now on if it is not up; give the time until it is."""
    kind = machine.kind
    if machine.up_since is None:
        machine.up_since = now if kind.idle_s is not None else kind.begin_s
        return kind.boot_s
    if kind.idle_s is None or machine.n_running:
        return 0.0
    gone = machine.idle_since + kind.idle_s
    if now > gone:
        machine.paid_s += gone - machine.up_since
        machine.up_since = now
        return kind.boot_s
    return 0.0


def _sum_up(machines: Sequence[_Machine], end_s: float, n_jobs: int) -> Usage:
    """Add up what was paid for until the end."""
    usd, paid_cpu_s, busy_s = 0.0, 0.0, 0.0
    for machine in machines:
        kind = machine.kind
        if kind.idle_s is None:
            paid_s = max(0.0, min(end_s, kind.end_s) - kind.begin_s)
        elif machine.up_since is None:
            paid_s = 0.0
        else:
            off = min(end_s, machine.idle_since + kind.idle_s)
            paid_s = machine.paid_s + off - machine.up_since
        usd += paid_s / 3600.0 * kind.usd_per_h
        paid_cpu_s += paid_s * kind.cpus
        busy_s += machine.busy_s
    return Usage(end_s, usd, 1.0 - busy_s / paid_cpu_s if paid_cpu_s else 0.0, n_jobs)
