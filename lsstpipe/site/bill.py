"""What a site costs: while nobody works, at full size, for a campaign. List prices, no discounts.

Counted from the settings, as the Terraform code makes it; a test holds the counts to what it
makes. What grows with use alone (transfer to the internet, requests to keys) is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lsstpipe.cluster.heartbeat import SHARE_EVERY_S
from lsstpipe.cluster.prices import PriceTable
from lsstpipe.errors import ConfigError
from lsstpipe.site.settings import Market, Pool, Settings

HOURS_A_MONTH = 730
HOURS_A_DAY = 24

NEEDED_ENDPOINTS = 10
"""Interface endpoints without which nodes reach nothing: `needed_endpoints` in terraform/data."""

KEYS = 2
"""Of the state (terraform/bootstrap) and of the data."""

ALARMS = 6
"""Of terraform/modules/observability, and of the head node."""

METRICS = 19
"""Twelve of our events, seven of the head node, which is watched each minute (EC2 User Guide,
"Manage detailed monitoring for your EC2 instances")."""

IDLE_LOG_GB = 2
"""Assumed, a month: flow logs, those of the database and of the daemons, while nothing runs."""

CONFIGURATION_READS = 8
"""Requests of the head node each minute: it asks for the size of four files, and for each."""

MINUTES_AN_HOUR = 60

UTILISATION = 0.72
"""Share of what nodes offer that jobs use: benchmarks/replay_tract.py, with measured memory."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a bill.

    Attributes
    ----------
    item, detail
        What it is for, and how it is counted.
    usd
        US dollars, an hour or for a campaign.
    """

    item: str
    detail: str
    usd: float


@dataclass(frozen=True, slots=True)
class Work:
    """What a campaign takes.

    Attributes
    ----------
    core_hours
        Processor hours of its jobs.
    product_gb, objects
        Size and number of what it keeps in S3.
    """

    core_hours: float
    product_gb: float
    objects: float


TRACT = Work(core_hours=1515, product_gb=4100, objects=860_000)
"""One tract of Hyper Suprime-Cam, 112 visits, as LSST processed it on AWS (DMTN-137): its hours,
its products, and the requests to S3 that cost 4.30 USD."""


@dataclass(frozen=True, slots=True)
class CampaignBill:
    """What a campaign costs.

    Attributes
    ----------
    lines
        What is paid once.
    hours
        How long it takes at full size.
    pool
        The pool whose nodes are cheapest for it.
    storage_month_usd
        What its products cost each month that they are kept.
    """

    lines: tuple[Line, ...]
    hours: float
    pool: str
    storage_month_usd: float


@dataclass(frozen=True, slots=True)
class Bill:
    """What a site costs.

    Attributes
    ----------
    idle
        An hour in which nothing runs.
    full
        An hour in which all nodes run that may, besides what is idle.
    nodes
        How many those are, by pool.
    campaign
        A campaign.
    """

    idle: tuple[Line, ...]
    full: tuple[Line, ...]
    nodes: dict[str, int]
    campaign: CampaignBill


def total(lines: Sequence[Line]) -> float:
    """Add up lines, US dollars.

    Parameters
    ----------
    lines
        The lines.
    """
    return sum(line.usd for line in lines)


def dominating(lines: Sequence[Line], share: float = 0.2) -> list[Line]:
    """Give the lines that make a good part of a bill, the dearest first.

    Parameters
    ----------
    lines
        The bill.
    share
        What a good part is.
    """
    least = share * total(lines)
    return sorted((line for line in lines if line.usd >= least), key=lambda line: -line.usd)


def price_site(settings: Settings, prices: PriceTable, work: Work = TRACT) -> Bill:
    """Work out what a site costs.

    Parameters
    ----------
    settings
        Of the site.
    prices
        Of its region.
    work
        What a campaign takes.

    Raises
    ------
    ConfigError
        If a price is absent, or a limit lets no node run.
    """
    idle = (*_data(settings, prices), *_cluster(settings, prices))
    nodes = count_nodes(settings, prices)
    pools = settings.cluster.pools
    full = tuple(
        _nodes(name, pool, nodes[name] - pool.min_nodes, prices) for name, pool in pools.items()
    )
    return Bill(idle, full, nodes, _campaign(settings, prices, nodes, work))


def count_nodes(settings: Settings, prices: PriceTable) -> dict[str, int]:
    """Count the nodes that may run at the same time, by pool, as the guard of launches does.

    Parameters
    ----------
    settings
        Of the site.
    prices
        Of its region.

    Raises
    ------
    ConfigError
        If a limit lets no node of a pool run.
    """
    left = settings.cluster.max_hourly_usd
    counts = {}
    for name, pool in settings.cluster.pools.items():
        usd = dearest(pool, prices)
        if usd > min(pool.max_hourly_usd, settings.cluster.max_hourly_usd):
            raise ConfigError(
                f"Pool {name} would never launch a node: one may cost {usd:.3f} USD an hour, more "
                f"than the max_hourly_usd of the pool or the cluster."
            )
        counts[name] = min(pool.max_nodes, int(min(pool.max_hourly_usd, left) / usd))
        left -= counts[name] * usd
    return counts


def dearest(pool: Pool, prices: PriceTable, market: Market | None = None) -> float:
    """Give the most that a node of a pool costs an hour, whatever type it becomes.

    Parameters
    ----------
    pool
        The pool.
    prices
        Of the region.
    market
        Where it is bought; where the pool asks first if it is None.
    """
    return max(prices.hourly(name, market or pool.capacity) for name in pool.instance_types)


def _data(settings: Settings, prices: PriceTable) -> Iterator[Line]:
    """Price the root `data` by the hour, and the key of the state."""
    data, registry = settings.data, settings.data.registry
    copies = 2 if registry.multi_az else 1
    yield Line(
        "database",
        f"{copies} x {registry.instance_class}",
        copies * prices.database(registry.instance_class),
    )
    gb = copies * registry.storage_gib.first
    disk = gb * prices.service("database_disk_gb_month") / HOURS_A_MONTH
    yield Line("disk of the database", f"{gb:.0f} GiB", disk)
    if data.network and data.network.nat == "one":
        gateway = prices.service("nat_gateway_hour") + prices.service("public_ipv4_hour")
        yield Line("NAT gateway", "1, with its address", gateway)
    count = count_endpoints(settings)
    zones = len(data.zones())
    if count:
        usd = count * zones * prices.service("endpoint_hour")
        yield Line("endpoints", f"{count} in {zones} zones", usd)
    if kept := data.persistent_lustre:
        each, gib = kept.throughput_mbps_per_tib, kept.storage_gib
        usd = gib * prices.service(f"lustre_persistent_{each}_gb_month") / HOURS_A_MONTH
        yield Line("persistent Lustre", f"{gib:.0f} GiB, {each} MB/s for each TiB", usd)
    keys = KEYS * prices.service("key_month") + prices.service("secret_month")
    yield Line("keys and secrets", f"{KEYS} and 1", keys / HOURS_A_MONTH)


def count_endpoints(settings: Settings) -> int:
    """Count the interface endpoints that are made in each zone.

    Parameters
    ----------
    settings
        Of the site.
    """
    network = settings.data.network
    if network is None:
        return 0
    if network.endpoints is None:
        return 0 if network.nat == "one" else NEEDED_ENDPOINTS
    return len(network.endpoints)


def _cluster(settings: Settings, prices: PriceTable) -> Iterator[Line]:
    """Price the root `cluster` by the hour, while nothing runs."""
    head = settings.cluster.head
    yield Line("head node", head.instance_type, prices.hourly(head.instance_type, "on-demand"))
    gib = head.root_gib + head.state_gib
    yield Line("disks of the head node", f"{gib:.0f} GiB", gib * _disk_hour(prices))
    watching = ALARMS * prices.service("alarm_month") + METRICS * prices.service("metric_month")
    yield Line("alarms and metrics", f"{ALARMS} and {METRICS}", watching / HOURS_A_MONTH)
    logs = IDLE_LOG_GB * prices.service("log_gb") / HOURS_A_MONTH
    yield Line("logs", f"{IDLE_LOG_GB} GB a month, assumed", logs)
    yield _signs_of_life(sum(pool.min_nodes for pool in settings.cluster.pools.values()), prices)
    if settings.cluster.lustre:
        gib = settings.cluster.lustre.storage_gib
        usd = gib * prices.service("lustre_gb_month") / HOURS_A_MONTH
        yield Line("Lustre", f"{gib:.0f} GiB", usd)
    for name, pool in settings.cluster.pools.items():
        if pool.min_nodes:
            yield _nodes(name, pool, pool.min_nodes, prices)


def _signs_of_life(nodes: int, prices: PriceTable) -> Line:
    """Price what head node and reaper ask of S3 by the hour, and nodes that are always there."""
    puts = 3600 / SHARE_EVERY_S
    gets = MINUTES_AN_HOUR * (CONFIGURATION_READS + nodes)
    usd = puts * prices.service("s3_put") + gets * prices.service("s3_get")
    return Line("signs of life", f"{puts:.0f} PUTs and {gets} GETs of S3 an hour", usd)


def _nodes(name: str, pool: Pool, count: int, prices: PriceTable) -> Line:
    """Price nodes of a pool by the hour, with their disks, as if all were of the dearest type."""
    each = dearest(pool, prices) + pool.disk_gib * _disk_hour(prices)
    where = "Spot" if pool.capacity == "spot" else "on demand"
    return Line(f"nodes of {name}", f"{count} x {pool.cpus} CPUs, {where}", count * each)


def _disk_hour(prices: PriceTable) -> float:
    return prices.service("disk_gb_month") / HOURS_A_MONTH


def _campaign(
    settings: Settings, prices: PriceTable, nodes: dict[str, int], work: Work
) -> CampaignBill:
    """Price a campaign on the nodes that are cheapest for it."""
    pools = {name: pool for name, pool in settings.cluster.pools.items() if nodes[name]}
    by_core = {name: _nodes(name, pool, 1, prices).usd / pool.cpus for name, pool in pools.items()}
    best = min(by_core, key=lambda name: by_core[name])
    pool = pools[best]
    node_hours = work.core_hours / (pool.cpus * UTILISATION)
    hours = node_hours / nodes[best]
    idle = total([*_data(settings, prices), *_cluster(settings, prices)])
    lines = (
        Line(
            f"nodes of {best}",
            f"{node_hours:.0f} node hours, of which jobs use {UTILISATION:.0%}",
            node_hours * pool.cpus * by_core[best],
        ),
        Line("the site meanwhile", f"{hours:.1f} hours", hours * idle),
        Line(
            "requests to S3",
            f"{work.objects:.3g} objects written",
            work.objects * prices.service("s3_put"),
        ),
    )
    storage = work.product_gb * prices.service("s3_gb_month")
    return CampaignBill(lines, hours, best, storage)
