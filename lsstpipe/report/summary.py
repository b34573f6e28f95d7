"""The summary of a report in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lsstpipe.report.quality import describe_verdicts, group_metrics

_STYLES = {"ok": "green", "fail": "bold red", "unknown": "dim"}


def summarise(measured: dict[str, Any]) -> RenderableType:
    """Describe the target's transit in two lines and the metrics in a table by subject.

    Parameters
    ----------
    measured
        The dataset ``metrics``.
    """
    metrics = tuple(measured["metrics"])
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("id", no_wrap=True)
    # The one column that gives way where the terminal is narrow.
    table.add_column("what", min_width=12)
    for name in ("value", "bound", "stretch", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for subject in group_metrics(metrics):
        table.add_row("", Text(subject.title, style="bold italic"))
        for row in subject.rows:
            table.add_row(
                f"{row.id}:{row.where}" if row.where else row.id,
                Text(row.name, no_wrap=True, overflow="ellipsis"),
                f"{row.value} {row.error}".strip(),
                row.gate,
                row.stretch,
                str(row.n),
                Text(row.verdict, style=_STYLES[row.state]),
            )
    return Group(*_describe_target(measured["target"]), table, Text(describe_verdicts(metrics)))


def _describe_target(target: dict[str, Any] | None) -> list[RenderableType]:
    """Say how deep the transit is and how well a point is measured."""
    if target is None:
        return []
    if "fit" not in target:
        return [Text(f"{target['name']}: {target['message']}\n", style="bold red")]
    fit = target["fit"]
    return [
        Text.assemble(
            f"{target['name']}: transit depth ",
            (f"{100 * fit['depth']:.2f} ± {100 * fit['depth_err']:.2f} %", "bold"),
            f", middle {fit['mid_mjd']:.4f} ± {fit['mid_err_d']:.4f} (TAI MJD), "
            f"{target['ensemble']['n']} comparison stars",
        ),
        Text.assemble(
            "Scatter out of transit ",
            (f"{100 * fit['scatter_out']:.2f} ± {100 * fit['scatter_out_err']:.2f} %", "bold"),
            f" a point, {target['n_out']} points\n",
        ),
    ]
