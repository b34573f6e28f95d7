"""The metrics as the report shows them: grouped by subject, each against its bound."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lsstpipe.report.numbers import format_error, format_gate, format_value, format_verdict
from lsstpipe.report.page import Json

SUBJECTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("target", "The target", ("TRANSIT",)),
    ("signature", "The camera's signature", ("ISR", "CAL", "CR")),
    ("psf", "Point spread function", ("PSF", "TE")),
    ("astrometry", "Astrometry", ("AST", "AM", "AD", "AF", "AA", "AB")),
    ("photometry", "Photometry", ("PHO", "PA", "PF", "APC", "LOC")),
    ("detection", "Background and detection", ("BG", "DET")),
    ("coadds", "Coadds", ("WRP", "COA")),
    ("catalogues", "Catalogues", ("FRC", "DEB", "SG", "GAL", "DIA", "TAB", "AVRO")),
)
"""Key, title and the letters that ids begin with, of each subject in the order of the page."""

_OTHER = ("other", "Others")
_STATES = {True: "ok", False: "fail", None: "unknown"}
_LONGEST = 1.5


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric, ready to be shown.

    Attributes
    ----------
    id, where, name
        Its id without what it was measured on, what it was measured on, and what it is.
    value, error, gate, stretch, n, note, verdict
        As text; ``stretch`` is empty where there is none.
    state
        ``ok``, ``fail`` or ``unknown``.
    used
        Share of the bound that the value uses, in units of 1/1.5 of the bar's length and cut there;
        None where that cannot be said.
    stretch_used
        The same of the stretch bound.
    """

    id: str
    where: str
    name: str
    value: str
    error: str
    gate: str
    stretch: str
    n: int
    note: str
    verdict: str
    state: str
    used: float | None
    stretch_used: float | None


@dataclass(frozen=True, slots=True)
class Subject:
    """The metrics of one subject."""

    key: str
    title: str
    rows: tuple[MetricRow, ...]

    def count(self, state: str) -> int:
        """Count the metrics of a state: ``ok``, ``fail`` or ``unknown``."""
        return sum(row.state == state for row in self.rows)


def group_metrics(metrics: tuple[Json, ...]) -> tuple[Subject, ...]:
    """Sort the metrics by subject and within one by id; those of an id keep their order.

    Parameters
    ----------
    metrics
        Entries of the dataset ``metrics``.
    """
    found: dict[str, list[MetricRow]] = {}
    of_letters = {letters: key for key, _, all_letters in SUBJECTS for letters in all_letters}
    for metric in metrics:
        key = of_letters.get(_letters(metric["id"]), _OTHER[0])
        found.setdefault(key, []).append(_row(metric))
    listed = [*SUBJECTS, (*_OTHER, ())]
    return tuple(
        Subject(key, title, tuple(sorted(found[key], key=lambda row: _place(row.id, order))))
        for key, title, order in listed
        if key in found
    )


def _letters(id: str) -> str:
    """Give the letters that an id begins with."""
    begin = re.match(r"[A-Z]*", id)
    return begin.group() if begin else ""


def _place(id: str, order: tuple[str, ...]) -> tuple[int, str]:
    """Give the place of an id within its subject."""
    letters = _letters(id)
    return (order.index(letters) if letters in order else len(order), id)


def _row(metric: Json) -> MetricRow:
    """Prepare one metric."""
    id, _, where = str(metric["id"]).partition(":")
    stretch = metric.get("stretch")
    return MetricRow(
        id=id,
        where=where,
        name=metric["name"],
        value=format_value(metric["value"], metric["error"], metric["unit"]),
        error=format_error(metric["value"], metric["error"]),
        gate=format_gate(metric["gate"], metric["unit"]),
        stretch=format_gate(stretch, metric["unit"]) if stretch else "",
        n=metric["n"],
        note=metric["note"],
        verdict=format_verdict(metric),
        state=_STATES[metric["ok"]],
        used=_use(metric["value"], metric["gate"], metric["unit"]),
        stretch_used=_use_of_stretch(stretch, metric["gate"], metric["unit"]),
    )


def _use(value: float | None, gate: list[float | None], unit: str) -> float | None:
    """Say which share of a bound a value uses, on the scale of the bar."""
    low, high = gate
    if value is None or (low is None and high is None):
        return None
    if low is not None and high is not None:
        used = abs(value - 0.5 * (low + high)) / (0.5 * (high - low)) if high > low else 0.0
    elif high is not None:
        used = value / high if high > 0 else float(value > high)
    else:
        used = _use_of_floor(value, low or 0.0, unit)
    return min(max(used, 0.0), _LONGEST) / _LONGEST


def _use_of_floor(value: float, low: float, unit: str) -> float:
    """Say which share of a lower bound is used: of what is missing to all, where it is a share."""
    if unit == "%" and low >= 100.0:
        return 0.0 if value >= low else _LONGEST
    if unit == "%" and low >= 50.0:
        return (100.0 - value) / (100.0 - low)
    return low / value if value > 0 else _LONGEST


def _use_of_stretch(
    stretch: list[float | None] | None, gate: list[float | None], unit: str
) -> float | None:
    """Say where on the bar the stretch bound lies."""
    if not stretch:
        return None
    low, high = stretch
    return _use(high if high is not None else low, gate, unit)


def describe_verdicts(metrics: tuple[Json, ...]) -> str:
    """Count in a sentence the metrics that keep their bounds.

    Parameters
    ----------
    metrics
        Entries of the dataset ``metrics``.
    """
    met, missed, open_ = (
        sum(metric["ok"] is state for metric in metrics) for state in (True, False, None)
    )
    excellent = sum(bool(metric.get("excellent")) for metric in metrics)
    text = f"{met} of {len(metrics)} metrics keep their bound"
    text += f", {excellent} of them the stretch bound too" if excellent else ""
    text += f", {missed} miss it" if missed else ""
    return text + (f", {open_} cannot be judged on this sample." if open_ else ".")
