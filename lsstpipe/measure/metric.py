"""A metric: a measured figure with its bound, and whether it is met."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured figure of quality.

    Attributes
    ----------
    id, name
        Short id, as in the list of acceptance metrics, and what it is.
    value, unit
        The figure; NaN where it could not be measured.
    low, high
        Bounds that it must keep, ends included; None where there is none.
    n, min_n
        Size of the sample behind it, and the smallest that can be judged.
    error
        Standard error of the value; NaN where there is none.
    note
        What the reader should know.
    """

    id: str
    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    n: int = 0
    min_n: int = 1
    error: float = math.nan
    note: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether the bounds are kept; None where the sample is too small to say."""
        if self.n < self.min_n or not math.isfinite(self.value):
            return None
        above = self.low is None or self.value >= self.low
        return above and (self.high is None or self.value <= self.high)

    def to_json(self) -> dict[str, str | int | float | bool | list[float | None] | None]:
        """Give the entry of the list of metrics; null stands for what is not known."""
        note = self.note
        if self.ok is None and self.n < self.min_n:
            note = f"Not judged: needs a sample of {self.min_n}, has {self.n}. {note}".strip()
        return {
            "id": self.id,
            "name": self.name,
            "value": _finite(self.value),
            "unit": self.unit,
            "gate": [self.low, self.high],
            "ok": self.ok,
            "n": self.n,
            "error": _finite(self.error),
            "note": note,
        }


def _finite(value: float) -> float | None:
    """Replace what JSON cannot say by None."""
    return float(value) if math.isfinite(value) else None
