"""What the programs of the head node share: the cluster, its edges, its memory, its clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lsstpipe.cluster.config import Cluster, Market, read_cluster
from lsstpipe.cluster.decide import Power
from lsstpipe.cluster.ec2 import Ec2, Ec2Client, Instance
from lsstpipe.cluster.events import EventLog
from lsstpipe.cluster.guard import Spending
from lsstpipe.cluster.prices import PriceTable, read_prices
from lsstpipe.cluster.slurm import Slurm, SlurmCommands
from lsstpipe.cluster.state import StateFile

BUDGET_FLAG = "budget-spent"
"""File in the state's folder that the budget's alarm puts there."""


@dataclass(slots=True)
class Head:
    """The head node.

    Attributes
    ----------
    cluster, prices
        Settings and prices.
    slurm, ec2
        The edges.
    state, events
        Its memory and its log.
    folder
        Where both are.
    now
        Seconds since 1970.
    """

    cluster: Cluster
    prices: PriceTable
    slurm: Slurm
    ec2: Ec2
    state: StateFile
    events: EventLog
    folder: Path
    now: Callable[[], float] = time.time

    def spending(
        self, instances: Iterable[Instance], promised: Mapping[str, float] | None = None
    ) -> Spending:
        """Sum up what instances cost an hour.

        Parameters
        ----------
        instances
            Of the cluster; those that end cost no more.
        promised
            What costs besides that EC2 does not show yet, by pool.
        """
        by_pool = dict(promised or {})
        for item in instances:
            if item.power is Power.ALIVE:
                market: Market = "spot" if item.market == "spot" else "on-demand"
                usd = self.prices.hourly(item.instance_type, market)
                by_pool[item.pool] = by_pool.get(item.pool, 0.0) + usd
        return Spending(by_pool, (self.folder / BUDGET_FLAG).exists())


def open_head(config: Path, folder: Path) -> Head:
    """Open the head node's cluster.

    Parameters
    ----------
    config
        ``pools.json``.
    folder
        Where state and events are kept.

    Raises
    ------
    ConfigError
        If the pools say what cannot be, or name a type of instance that has no price.
    """
    cluster = read_cluster(config)
    prices = read_prices(cluster.region, find_prices(folder))
    for pool in cluster.pools:
        prices.dearest(pool, "on-demand")  # now, and not when its first job waits
    return Head(
        cluster,
        prices,
        SlurmCommands(),
        Ec2Client(cluster.name, cluster.region),
        StateFile(folder),
        EventLog(folder / "events.jsonl", cluster.name, time.time),
        folder,
    )


def find_prices(folder: Path) -> Path | None:
    """Find the prices that were refreshed; None where those of lsstpipe hold.

    Parameters
    ----------
    folder
        Where the state is kept.
    """
    refreshed = folder / "prices.json"
    return refreshed if refreshed.exists() else None
