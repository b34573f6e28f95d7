"""The summary of a report in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lsstpipe.report.numbers import format_error, format_gate, format_value, format_verdict

_STYLES = {True: "green", False: "bold red", None: "dim"}


def summarise(measured: dict[str, Any]) -> RenderableType:
    """Describe the target's transit in two lines and the metrics in a table.

    Parameters
    ----------
    measured
        The dataset ``metrics``.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, justify in (("id", "left"), ("what", "left"), ("value", "right"), ("error", "right"),
                          ("bound", "right"), ("n", "right"), ("verdict", "left")):  # fmt: skip
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for metric in measured["metrics"]:
        table.add_row(
            metric["id"],
            metric["name"],
            format_value(metric["value"], metric["error"], metric["unit"]),
            format_error(metric["value"], metric["error"]),
            format_gate(metric["gate"], metric["unit"]),
            str(metric["n"]),
            Text(format_verdict(metric), style=_STYLES[metric["ok"]]),
        )
    return Group(*_describe_target(measured["target"]), table)


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
