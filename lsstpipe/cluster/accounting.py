"""What jobs have cost: the life of each instance, shared among the jobs that ran on it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lsstpipe.cluster.config import Cluster
from lsstpipe.cluster.hostlist import expand
from lsstpipe.cluster.slurm import find_campaign, find_stage, parse_memory
from lsstpipe.errors import UserError

SACCT_FIELDS = (
    *("JobIDRaw", "JobName", "User", "State", "Start", "End", "NodeList", "AllocCPUS", "ReqMem"),
    "Comment",
)
"""Columns of `sacct`; the comment is the last, for it may hold anything."""

IDLE = "(idle)"
"""Stage of what no job used."""

_ENDS = frozenset({"terminate", "terminate_and_power_down", "down"})
_NOWHERE = "None assigned"
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Life:
    """An instance: which node it was, what it cost an hour (US dollars), from when to when."""

    instance: str
    node: str
    pool: str
    hourly_usd: float
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of a job; a job that was requeued has several.

    Attributes
    ----------
    job, user, campaign, stage, chunk, state
        Which, whose, of what, and how it ended.
    nodes, n_cpus, memory_mb
        Where, with how many processors in all, and the memory that it asked for, MB.
    begin, end
        Seconds since 1970.
    """

    job: int
    user: str
    campaign: str
    stage: str
    chunk: str
    state: str
    nodes: tuple[str, ...]
    n_cpus: int
    memory_mb: float
    begin: float
    end: float


@dataclass(slots=True)
class Cost:
    """Sums over the jobs of one stage of a user's campaign.

    Attributes
    ----------
    n_jobs, n_runs
        Jobs, and how often they were begun.
    cpu_s
        Processors that they had, times seconds.
    memory_mb
        The most that one of them asked for.
    usd
        Their share of the instances.
    """

    n_runs: int = 0
    cpu_s: float = 0.0
    memory_mb: float = 0.0
    usd: float = 0.0
    jobs: set[int] = field(default_factory=set)

    @property
    def n_jobs(self) -> int:
        """How many jobs there are."""
        return len(self.jobs)


Costs = dict[tuple[str, str, str], Cost]
"""By campaign, user and stage."""


def read_events(path: Path) -> list[dict[str, Any]]:
    """Read the events of the head node.

    Parameters
    ----------
    path
        The file; there are none where it is absent.
    """
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_lives(events: Iterable[Mapping[str, Any]], now: float) -> list[Life]:
    """Find from when to when each instance cost money.

    Parameters
    ----------
    events
        In the order in which they happened.
    now
        End of what still lives, seconds since 1970.
    """
    lives: dict[str, Life] = {}
    ended: dict[str, float] = {}
    for row in events:
        time = datetime.fromisoformat(row["time"]).timestamp()
        if row["event"] == "launched":
            usd = row["hourly_usd"] / len(row["instances"])
            for node, key in zip(row["nodes"], row["instances"], strict=True):
                lives[key] = Life(key, node, row["pool"], usd, time, now)
        elif row["event"] == "orphan-ended" or row.get("action") in _ENDS:
            ended.setdefault(row["instance"], time)
    return [
        Life(life.instance, life.node, life.pool, life.hourly_usd, life.begin, ended.get(key, now))
        for key, life in lives.items()
    ]


def read_runs(text: str, now: float) -> list[JobRun]:
    """Read what ``sacct --parsable2`` printed, with times in seconds since 1970.

    Parameters
    ----------
    text
        Lines of `SACCT_FIELDS`.
    now
        End of what still runs, seconds since 1970.

    Raises
    ------
    UserError
        If a line cannot be read.
    """
    runs = []
    for line in text.splitlines():
        row = line.split("|", len(SACCT_FIELDS) - 1)
        if len(row) < len(SACCT_FIELDS):
            raise UserError(f"sacct printed '{line}', not the {len(SACCT_FIELDS)} columns asked.")
        job, name, user, state, begin, end, nodes, cpus, memory, comment = row
        if not begin.isdecimal():
            continue  # it never began
        runs.append(
            JobRun(
                int(job), user, find_campaign(name, comment), *find_stage(comment),
                state.split()[0], tuple(expand(nodes)) if nodes != _NOWHERE else (),
                int(cpus), parse_memory(memory),
                float(begin), float(end) if end.isdecimal() else now,
            )
        )  # fmt: skip
    return runs


def share(lives: Sequence[Life], runs: Sequence[JobRun], cluster: Cluster) -> Costs:
    """Share what instances cost among the jobs; what is left is idle.

    A job pays for the share of a node's processors that it has, while it has them.

    Parameters
    ----------
    lives
        The instances.
    runs
        The jobs.
    cluster
        Its pools say how many processors a node has.
    """
    costs: Costs = {}
    n_cpus = {pool.name: pool.cpus for pool in cluster.pools}
    for run in runs:
        cost = costs.setdefault((run.campaign, run.user, run.stage), Cost())
        cost.jobs.add(run.job)
        cost.n_runs += 1
        cost.cpu_s += run.n_cpus * (run.end - run.begin)
        cost.memory_mb = max(cost.memory_mb, run.memory_mb)
    for life in lives:
        left = (life.end - life.begin) / _HOUR_S * life.hourly_usd
        for run in runs:
            overlap_s = min(run.end, life.end) - max(run.begin, life.begin)
            if life.node in run.nodes and overlap_s > 0:
                part = run.n_cpus / len(run.nodes) / n_cpus.get(life.pool, run.n_cpus)
                usd = min(left, overlap_s / _HOUR_S * life.hourly_usd * part)
                costs[run.campaign, run.user, run.stage].usd += usd
                left -= usd
        costs.setdefault(("", "", IDLE), Cost()).usd += left
    return costs
