"""Which nodes are launched together, and which instance becomes which node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lsstpipe.cluster.config import Cluster
from lsstpipe.cluster.fleet import Job, Launch

LAUNCHED_TOGETHER = 500
"""Nodes of one request at most. EC2 gives a fleet of type ``instant`` 1,000 instances at most, and
an account may launch 1,000 before it must wait for more (request throttling for the EC2 API): half
of that lets a second pool launch too, and a request that fails loses half as much."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job of the resume file, and its nodes that are to be launched."""

    job: Job
    nodes: tuple[str, ...]


def group(
    cluster: Cluster, nodes: Sequence[str], jobs: Sequence[Wanted], event: str
) -> tuple[list[Launch], list[str]]:
    """Group nodes into launches.

    A job of several nodes is launched by itself, all or nothing: without one of them the others
    would wait for money. The nodes of all other jobs of a pool are one launch, of which some may
    fail; it has the tags of a job where there is only one.

    Parameters
    ----------
    cluster
        The pools.
    nodes
        Nodes that Slurm wants.
    jobs
        What it wants them for, as far as the resume file says.
    event
        Name of the call of Slurm.

    Returns
    -------
    launches
        What to ask for, jobs of several nodes first.
    foreign
        Names that are not ours: they are never touched.
    """
    own = {name: pool for name in dict.fromkeys(nodes) if (pool := cluster.find_pool(name))}
    foreign = [name for name in dict.fromkeys(nodes) if name not in own]
    launches: list[Launch] = []
    left = dict(own)
    for wanted in jobs:
        members = tuple(name for name in wanted.nodes if name in left)
        pools = {left[name].name for name in members}
        if wanted.job.n_nodes > 1 and members and len(pools) == 1:
            pool = left[members[0]]
            market = pool.capacity
            launches.append(Launch(pool, market, members, wanted.job, event, is_whole=True))
            for name in members:
                del left[name]
    by_pool: dict[str, list[str]] = {}
    for name, pool in left.items():
        by_pool.setdefault(pool.name, []).append(name)
    users: dict[str, list[Job]] = {name: [] for name in by_pool}
    for wanted in jobs:
        for pool_name in {left[name].name for name in wanted.nodes if name in left}:
            users[pool_name].append(wanted.job)
    for pool_name, members_left in by_pool.items():
        pool = own[members_left[0]]
        job = users[pool_name][0] if len(users[pool_name]) == 1 else None
        # The order is that of Slurm: a call that is repeated has the same parts, with their tokens.
        for start in range(0, len(members_left), LAUNCHED_TOGETHER):
            part = tuple(members_left[start : start + LAUNCHED_TOGETHER])
            launches.append(Launch(pool, pool.capacity, part, job, event))
    return launches, foreign


def assign(launch: Launch, instance_ids: Sequence[str]) -> tuple[Mapping[str, str], list[str]]:
    """Pair nodes with instances.

    Parameters
    ----------
    launch
        What was asked for.
    instance_ids
        What there is.

    Returns
    -------
    instances
        Id of the instance of each node; empty where all were needed and some are missing.
    spare
        Ids of instances that no node gets: they are to be ended.
    """
    if launch.is_whole and len(instance_ids) < len(launch.nodes):
        return {}, list(instance_ids)
    pairs = dict(zip(launch.nodes, instance_ids, strict=False))
    return pairs, list(instance_ids[len(pairs) :])
