"""How a cluster is now, and what it has cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lsstpipe.cluster.accounting import (
    SACCT_FIELDS,
    Cost,
    Costs,
    read_events,
    read_lives,
    read_runs,
    share,
)
from lsstpipe.cluster.config import Market
from lsstpipe.cluster.decide import Power
from lsstpipe.cluster.ec2 import Instance
from lsstpipe.cluster.head import Head
from lsstpipe.cluster.slurm import QueuedJob, SlurmCommands, SlurmNode


@dataclass(frozen=True, slots=True)
class InstanceNow:
    """An instance that runs: which node, of what kind, since when (s), for how much (USD/h)."""

    id: str
    node: str
    instance_type: str
    market: str
    age_s: float
    hourly_usd: float


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A cluster now.

    Attributes
    ----------
    nodes
        Those with power, and those that are down.
    instances
        Those that run.
    jobs
        Those that wait or run.
    resting
        Pools that launch nothing: why, and until when (seconds since 1970; infinite for ever).
    silence_s
        How long `reconcile` has given no sign of life.
    hourly_usd
        What runs now costs.
    costs
        What jobs have cost, by campaign, user and stage.
    """

    nodes: list[SlurmNode]
    instances: list[InstanceNow]
    jobs: list[QueuedJob]
    resting: dict[str, tuple[str, float]]
    silence_s: float
    hourly_usd: float
    costs: Costs


def look(head: Head) -> ClusterStatus:
    """Look at a cluster.

    Parameters
    ----------
    head
        The head node.
    """
    own = [n for n in head.slurm.nodes() if head.cluster.find_pool(n.name) is not None]
    instances = [
        _describe(head, item) for item in head.ec2.instances() if item.power is Power.ALIVE
    ]
    with head.state.hold() as state:
        rests = {name: (rest.code, rest.until) for name, rest in state.rests.items()}
    return ClusterStatus(
        nodes=[n for n in own if "POWERED_DOWN" not in n.flags or n.flags & {"DOWN", "DRAIN"}],
        instances=instances,
        jobs=SlurmCommands().queue(),
        resting=rests,
        silence_s=head.state.silence_s(head.now()),
        hourly_usd=sum(item.hourly_usd for item in instances),
        costs=measure_costs(head),
    )


def _describe(head: Head, item: Instance) -> InstanceNow:
    market: Market = "spot" if item.market == "spot" else "on-demand"
    usd = head.prices.hourly(item.instance_type, market)
    age_s = head.now() - item.launched
    return InstanceNow(item.id, item.node, item.instance_type, item.market, age_s, usd)


def measure_costs(head: Head) -> Costs:
    """Sum up what jobs have cost since the first event of the cluster.

    Parameters
    ----------
    head
        The head node.
    """
    now = head.now()
    events = read_events(head.folder / "events.jsonl")
    lives = read_lives(events, now)
    if not lives:
        return {}
    since = datetime.fromisoformat(events[0]["time"]).timestamp()
    runs = read_runs(SlurmCommands().account(SACCT_FIELDS, since), now)
    return share(lives, runs, head.cluster)


def total(costs: Costs) -> Cost:
    """Sum over all campaigns, users and stages.

    Parameters
    ----------
    costs
        Of each.
    """
    result = Cost()
    for cost in costs.values():
        result.n_runs += cost.n_runs
        result.cpu_s += cost.cpu_s
        result.memory_mb = max(result.memory_mb, cost.memory_mb)
        result.usd += cost.usd
        result.jobs |= cost.jobs
    return result
