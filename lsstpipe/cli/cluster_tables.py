"""What ``lsstpipe cluster status``, ``cost`` and ``prices`` print."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from lsstpipe.cluster.accounting import IDLE, Costs
from lsstpipe.cluster.prices import PriceTable
from lsstpipe.cluster.status import ClusterStatus, total
from lsstpipe.execute.usage import TaskUsage

Usage = Mapping[str, Sequence[TaskUsage]]
"""What the quanta of campaigns took, by name of the campaign."""

_WIDTH = 110


def status_as_json(status: ClusterStatus) -> str:
    """Write a status as JSON.

    Parameters
    ----------
    status
        The status.
    """
    plain = {
        "nodes": [asdict(node) | {"flags": sorted(node.flags)} for node in status.nodes],
        "instances": [asdict(item) for item in status.instances],
        "jobs": [asdict(job) for job in status.jobs],
        "resting": {
            name: {"code": code, "until": None if math.isinf(until) else until}
            for name, (code, until) in status.resting.items()
        },
        "silence_s": None if math.isinf(status.silence_s) else status.silence_s,
        "hourly_usd": status.hourly_usd,
        "costs": costs_as_rows(status.costs, {}),
    }
    return json.dumps(plain, indent=1)


def print_status(status: ClusterStatus) -> None:
    """Print a status.

    Parameters
    ----------
    status
        The status.
    """
    console = Console(width=_WIDTH, soft_wrap=True)
    by_node = {item.node: item for item in status.instances}
    nodes = _table("node", "state", "instance", "type", "market", "min", "USD/h")
    for node in status.nodes:
        item = by_node.get(node.name)
        state = "+".join(sorted(node.flags - {"CLOUD"})).lower()
        own = (
            (item.id, item.instance_type, item.market, f"{item.age_s / 60:.0f}",
             f"{item.hourly_usd:.3f}")
            if item else ("", "", "", "", "")
        )  # fmt: skip
        nodes.add_row(node.name, state, *own)
    console.print(nodes)
    jobs = _table("job", "user", "campaign", "stage", "chunk", "state", "where or why")
    for job in status.jobs:
        where = job.nodes or job.reason
        jobs.add_row(str(job.id), job.user, job.campaign, job.stage, job.chunk, job.state, where)
    console.print(jobs)
    for name, (code, until) in status.resting.items():
        ends = "a person closes its breaker" if math.isinf(until) else "its time is over"
        console.print(f"pool {name} launches nothing until {ends}: {code}")
    print_costs(status.costs, None)
    beat = f"{status.silence_s:.0f} s ago" if math.isfinite(status.silence_s) else "never"
    console.print(f"now {status.hourly_usd:.3f} USD an hour; reconcile was here {beat}")


def costs_as_rows(costs: Costs, usage: Usage) -> list[dict[str, Any]]:
    """Give a row for each stage of each user's campaign, with what was used where it is known.

    Parameters
    ----------
    costs
        What was asked for and paid.
    usage
        What the quanta took; shown where one user alone has the campaign, for manifests do not say
        whose job wrote them.
    """
    rows = []
    shared = _find_shared(costs)
    for (campaign, user, stage), cost in costs.items():
        tasks = () if campaign in shared else usage.get(campaign, ())
        own = [task for task in tasks if task.stage == stage]
        rows.append(
            {
                "campaign": campaign, "user": user, "stage": stage,
                "n_jobs": cost.n_jobs, "n_runs": cost.n_runs,
                "asked_cpu_s": cost.cpu_s,
                "used_cpu_s": sum(task.cpu_s for task in own) if own else None,
                "asked_mb": cost.memory_mb,
                "used_mb": max(task.max_rss_mb for task in own) if own else None,
                "usd": cost.usd,
            }
        )  # fmt: skip
    return rows


def _find_shared(costs: Costs) -> set[str]:
    """Find the campaigns that several users have."""
    owners = {(campaign, user) for campaign, user, _ in costs}
    count = Counter(campaign for campaign, _ in owners)
    return {campaign for campaign, n_users in count.items() if n_users > 1}


def print_costs(costs: Costs, usage: Usage | None) -> None:
    """Print what each stage asked for, used and cost.

    Parameters
    ----------
    costs
        What was asked for and paid.
    usage
        What the quanta took; None has no columns for it: a status looks into no repository.
    """
    is_used_shown, usage = usage is not None, usage or {}
    used_column = ("used",) if is_used_shown else ()
    columns = (
        "jobs",
        "runs",
        "CPU s asked",
        *used_column,
        "MB asked",
        *used_column,
        "USD",
        "share",
    )
    table = _table("campaign", "user", "stage", *columns, n_names=3)
    all_usd = total(costs).usd or 1.0
    rows = costs_as_rows(costs, usage)
    for row in sorted(rows, key=lambda r: r["stage"] == IDLE):
        names = ("asked_cpu_s", "used_cpu_s", "asked_mb", "used_mb")
        asked = [row[name] for name in names if is_used_shown or name.startswith("asked")]
        table.add_row(
            row["campaign"], row["user"], row["stage"],
            str(row["n_jobs"] or ""), str(row["n_runs"] or ""),
            *(f"{value:.0f}" if value else "" for value in asked),
            f"{row['usd']:.5f}", f"{100 * row['usd'] / all_usd:.0f} %",
        )  # fmt: skip
    everything = total(costs)
    used = sum(task.cpu_s for own in usage.values() for task in own)
    table.add_row(
        "in all", "", "", str(everything.n_jobs), str(everything.n_runs),
        f"{everything.cpu_s:.0f}",
        *((f"{used:.0f}" if used else "", "", "") if is_used_shown else ("",)),
        f"{everything.usd:.5f}", "",
    )  # fmt: skip
    console = Console(width=_WIDTH, soft_wrap=True)
    console.print(table)
    for campaign in sorted(_find_shared(costs) & set(usage)):
        console.print(
            f"{campaign} has jobs of several users; manifests do not say which of them used what",
            markup=False,
        )


def print_prices(prices: PriceTable, types: Sequence[str], as_json: bool) -> None:
    """Print what instances cost an hour, from where and of when the prices are.

    Parameters
    ----------
    prices
        The prices.
    types
        Of which instances.
    as_json
        As JSON, not as a table.
    """
    rows: list[dict[str, Any]] = []
    for name in types:
        prices.hourly(name, "on-demand")  # says what is wrong where there is none
        listed, spot = prices.on_demand[name], prices.spot.get(name, prices.spot_share)
        rows.append(
            {
                "type": name,
                "on_demand_usd": listed.usd,
                "on_demand_from": f"{listed.source}, {listed.date}",
                "spot_usd": prices.hourly(name, "spot"),
                "spot_from": f"{spot.source}, {spot.date}",
            }
        )
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    table = _table("type", "on demand", "Spot")
    for column in ("on demand from", "Spot from"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            row["type"], f"{row['on_demand_usd']:.4f}", f"{row['spot_usd']:.4f}",
            row["on_demand_from"], row["spot_from"],
        )  # fmt: skip
    Console(width=_WIDTH, soft_wrap=True).print(table)


def _table(*columns: str, n_names: int = 99) -> Table:
    table = Table(box=None)
    for n, column in enumerate(columns):
        table.add_column(column, justify="left" if n < n_names else "right", no_wrap=True)
    return table
