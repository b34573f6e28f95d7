"""A metric: a measured figure with its bound, and whether it is met."""

from __future__ import annotations

import math
from dataclasses import dataclass

Range = tuple[float | None, float | None]
"""Lower and upper bound, ends included; None where there is none."""

N_SIGMA = 3.0
"""Standard errors by which a figure of a finite sample may miss its bound."""


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
    stretch
        Bounds of what would be excellent, shown beside those that must be kept; None for none.
    n_sigma
        By how many standard errors the value may miss its bound. Where that is more than the bound
        leaves room for, the sample cannot tell good from bad and gets no pass.
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
    stretch: Range | None = None
    n_sigma: float = 0.0

    @property
    def tolerance(self) -> float:
        """What is added to the bounds for the finite sample, in the unit of the value."""
        return self.n_sigma * self.error if self.n_sigma and math.isfinite(self.error) else 0.0

    @property
    def ok(self) -> bool | None:
        """Whether the bounds are kept; None where the sample is too small to say."""
        if self.n < self.min_n or not math.isfinite(self.value):
            return None
        if not _keeps(self.value, (self.low, self.high), self.tolerance):
            return False
        return None if self._is_blunt else True

    @property
    def meets_stretch(self) -> bool:
        """Whether the value keeps the bounds of what would be excellent, and passes."""
        return bool(self.ok) and self.stretch is not None and _keeps(self.value, self.stretch, 0.0)

    @property
    def _is_blunt(self) -> bool:
        """Whether the tolerance is wider than the bounds themselves."""
        low, high = self.low, self.high
        if low is None and high is None:
            return False
        room = 0.5 * (high - low) if low is not None and high is not None else abs(high or low or 0)
        return self.tolerance > room

    def to_json(self) -> dict[str, str | int | float | bool | list[float | None] | None]:
        """Give the entry of the list of metrics; null stands for what is not known."""
        return {
            "id": self.id,
            "name": self.name,
            "value": _finite(self.value),
            "unit": self.unit,
            "gate": [self.low, self.high],
            "stretch": None if self.stretch is None else list(self.stretch),
            "tolerance": self.tolerance,
            "ok": self.ok,
            "excellent": self.meets_stretch,
            "n": self.n,
            "error": _finite(self.error),
            "note": f"{self._why_open()} {self.note}".strip(),
        }

    def _why_open(self) -> str:
        """Say why there is no verdict; empty where there is one."""
        if self.ok is not None:
            return ""
        if self.n < self.min_n:
            return f"Not judged: needs a sample of {self.min_n}, has {self.n}."
        if not math.isfinite(self.value):
            return "Not judged: it could not be measured."
        return (
            f"Not judged: {self.n_sigma:g} standard errors are {self.tolerance:.2g}, more than the "
            f"bound leaves room for."
        )


def _keeps(value: float, bounds: Range, tolerance: float) -> bool:
    """Tell whether a value lies within bounds that are widened by a tolerance."""
    low, high = bounds
    above = low is None or value >= low - tolerance
    return above and (high is None or value <= high + tolerance)


def _finite(value: float) -> float | None:
    """Replace what JSON cannot say by None."""
    return float(value) if math.isfinite(value) else None
