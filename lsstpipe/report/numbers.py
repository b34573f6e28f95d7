"""Numbers as a reader wants them: with their error, their bound, their unit."""

from __future__ import annotations

import math

from lsstpipe.report.page import Json

_MOST_DECIMALS = 4
_TIMES = "\N{MULTIPLICATION SIGN}10"
_UNITS = {
    "1e-3": f"{_TIMES}⁻³",
    "1e-5": f"{_TIMES}⁻⁵",
    "1e-7": f"{_TIMES}⁻⁷",
    "electron": "e⁻",
}
"""How a reader writes some units, and the powers of ten that stand where a unit stands."""
_SIZES = ("B", "kB", "MB", "GB", "TB")


def format_value(value: float | None, error: float | None, unit: str) -> str:
    """Write a value with as many digits as its error warrants.

    Parameters
    ----------
    value
        The value; None is written as a dash.
    error
        Its standard error, if it has one.
    unit
        Its unit; may be empty.
    """
    if value is None:
        return "\N{EN DASH}"
    return f"{value:.{_decimals(value, error)}f}{_unit(unit)}"


def format_error(value: float | None, error: float | None) -> str:
    """Write the standard error to the digits of its value; empty where there is none."""
    if value is None or error is None or error <= 0:
        return ""
    return f"± {error:.{_decimals(value, error)}f}"


def _decimals(value: float, error: float | None) -> int:
    """Two digits of the error; three of the value where there is no error; none for counts."""
    if error is not None and error > 0:
        return min(_MOST_DECIMALS, max(0, 1 - math.floor(math.log10(error))))
    if float(value).is_integer():
        return 0
    return min(_MOST_DECIMALS, max(0, 2 - math.floor(math.log10(abs(value)))))


def _unit(unit: str) -> str:
    """Spell a unit with the space before it."""
    return f" {_UNITS.get(unit, unit)}" if unit else ""


def format_gate(gate: list[float | None], unit: str) -> str:
    """Write bounds: ``≤ 0.25 pixel``, ``1.9 to 2.9 %``.

    Parameters
    ----------
    gate
        Lower and upper bound, None where there is none.
    unit
        Their unit; may be empty.
    """
    low, high = gate
    if low is None and high is None:
        return "none"
    if low is None:
        return f"≤ {high:g}{_unit(unit)}"
    if high is None:
        return f"≥ {low:g}{_unit(unit)}"
    if low == -high:
        return f"± {high:g}{_unit(unit)}"
    return f"{low:g} to {high:g}{_unit(unit)}"


def format_verdict(metric: Json) -> str:
    """Say in a word or two whether a metric keeps its bound, and that of what is excellent."""
    if metric.get("excellent"):
        return "met, stretch"
    return {True: "met", False: "missed", None: "not judged"}[metric["ok"]]


def format_bytes(n_bytes: float) -> str:
    """Write a number of bytes in decimal units."""
    size, unit = float(n_bytes), 0
    while size >= 1000.0 and unit < len(_SIZES) - 1:
        size, unit = size / 1000.0, unit + 1
    return (
        f"{size:.0f} {_SIZES[unit]}" if unit == 0 or size >= 100 else f"{size:.1f} {_SIZES[unit]}"
    )


def format_seconds(seconds: float) -> str:
    """Write a duration: ``4.2 s``, ``3 min 05 s``."""
    if seconds < 100.0:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"
