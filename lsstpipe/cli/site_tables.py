"""What ``lsstpipe site`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from lsstpipe.cluster.prices import PriceTable
from lsstpipe.site.bill import HOURS_A_DAY, Bill, Line, Work, dominating, total
from lsstpipe.site.deploy import RootPlan
from lsstpipe.site.findings import Finding

_WIDTH = 110


def _console(err: bool = False) -> Console:
    return Console(width=_WIDTH, soft_wrap=True, stderr=err, highlight=False)


def plans_as_rows(plans: Sequence[RootPlan]) -> list[dict[str, Any]]:
    """Give plans as JSON values.

    Parameters
    ----------
    plans
        The plans.
    """
    return [asdict(plan) for plan in plans]


def print_plan(plan: RootPlan, err: bool = False) -> None:
    """Print what would change in a root.

    Parameters
    ----------
    plan
        The plan.
    err
        To the standard error.
    """
    console = _console(err)
    if plan.waits_for:
        console.print(f"{plan.root}: can be planned when {plan.waits_for} has been made")
        return
    counts = Counter(change.action for change in plan.changes)
    said = ", ".join(f"{action} {count}" for action, count in counts.items()) or "no changes"
    console.print(f"{plan.root}: {said}")
    for change in plan.changes:
        console.print(f"  {change.action:8}{change.address}", markup=False)


def findings_as_rows(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Give findings as JSON values.

    Parameters
    ----------
    findings
        The findings.
    """
    return [asdict(finding) for finding in findings]


def print_findings(findings: Sequence[Finding], err: bool = False) -> None:
    """Print what was found, the worst last: it is what is seen.

    Parameters
    ----------
    findings
        The findings.
    err
        To the standard error.
    """
    order = ("ok", "unknown", "warning", "error")
    table = Table(box=None)
    for column in ("", "about", "what"):
        table.add_column(column, overflow="fold")
    for finding in sorted(findings, key=lambda finding: order.index(finding.level)):
        table.add_row(finding.level, finding.about, finding.says)
    if findings:
        _console(err).print(table, markup=False)


def bills_as_rows(bills: Mapping[str, Bill]) -> dict[str, dict[str, Any]]:
    """Give bills as JSON values, with their sums.

    Parameters
    ----------
    bills
        By name of the site.
    """
    return {
        name: asdict(bill)
        | {
            "idle_usd_a_day": HOURS_A_DAY * total(bill.idle),
            "full_usd_an_hour": total(bill.idle) + total(bill.full),
            "campaign_usd": total(bill.campaign.lines),
        }
        for name, bill in bills.items()
    }


def print_bills(bills: Mapping[str, Bill], work: Work, prices: Sequence[PriceTable]) -> None:
    """Print what sites cost, what dominates, and of when the prices are.

    Parameters
    ----------
    bills
        By name of the site.
    work
        What the campaign takes.
    prices
        The prices, of each region.
    """
    console = _console()
    table = Table(box=None)
    table.add_column("site")
    for column in (
        "idle USD/day",
        "full USD/h",
        "nodes",
        "campaign USD",
        "hours",
        "kept USD/month",
    ):
        table.add_column(column, justify="right")
    for name, bill in bills.items():
        table.add_row(
            name,
            f"{HOURS_A_DAY * total(bill.idle):.2f}",
            f"{total(bill.idle) + total(bill.full):.2f}",
            str(sum(bill.nodes.values())),
            f"{total(bill.campaign.lines):.2f}",
            f"{bill.campaign.hours:.1f}",
            f"{bill.campaign.storage_month_usd:.2f}",
        )
    console.print(table)
    console.print(
        f"The campaign takes {work.core_hours:.4g} core hours and keeps {work.product_gb:.4g} GB "
        "in S3, which idle sites do not count."
    )
    for name, bill in bills.items():
        _print_lines(console, f"{name}, idle, USD a day", bill.idle, HOURS_A_DAY)
        _print_lines(console, f"{name}, campaign, USD", bill.campaign.lines, 1)
    for each in prices:
        first, last = each.dates()
        console.print(f"List prices of {each.region}, of {first} to {last}.")


def _print_lines(console: Console, title: str, lines: Sequence[Line], times: float) -> None:
    table = Table(box=None, title=title, title_justify="left", show_header=False)
    table.add_column(min_width=24)
    table.add_column(min_width=40)
    table.add_column(justify="right")
    most = dominating(lines)
    for line in lines:
        table.add_row(line.item, line.detail, f"{times * line.usd:.2f}")
    console.print(table)
    names = ", ".join(f"{line.item} ({line.usd / total(lines):.0%})" for line in most)
    console.print(f"What dominates: {names}.")
