"""Whether the pairs of an astrometric solution cover the detector as its stars do.

A map that is right on one half of a detector and wrong on the other has small residuals: the stars
of the wrong half are matched with nothing. There both lists have bright stars, and few are pairs.
Where clouds, a dead amplifier or a hole in the catalogue take stars away, one of the lists is
short, and nothing is said against the map.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_QUARTERS = ("lower left", "lower right", "upper left", "upper right")
_BRIGHT_SHARE = 0.8
"""Share of the pairs whose brightness counts as bright: what is fainter may rightly be missed."""
_MIN_STARS = 8
_MAX_SHARE = 0.4
"""Share of what the best quarter matches below which a quarter has too few pairs."""
_MAX_CHANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Matched:
    """One of two lists that were matched, shape ``(n,)`` each.

    Attributes
    ----------
    y, x
        Positions on the detector, pixels; for the catalogue as the solution has them.
    brightness
        Any measure that rises with the flux.
    in_pair
        Which members have a partner in the other list.
    """

    y: FloatArray
    x: FloatArray
    brightness: FloatArray
    in_pair: BoolArray


@dataclass(frozen=True, slots=True)
class ThinQuarter:
    """A quarter of a detector with far fewer pairs than its stars should make.

    Attributes
    ----------
    name
        Where it is: +y is up, +x right.
    n_pairs, n_expected
        Its bright catalogue stars with a partner, and how many would have one at the share of the
        best quarter.
    """

    name: str
    n_pairs: int
    n_expected: float


def find_thin_quarters(
    detected: Matched, catalogue: Matched, shape: tuple[int, int]
) -> list[ThinQuarter]:
    """Find the quarters of a detector whose stars are there, but not matched.

    Only bright stars are counted, in both lists, and a quarter is found only if both have enough of
    them and far smaller shares of them in pairs than in the best quarter.

    Parameters
    ----------
    detected, catalogue
        The lists.
    shape
        Size (y, x) of the detector, pixels.

    Returns
    -------
    list of ThinQuarter
        Empty for a sound solution.
    """
    if not (detected.in_pair.any() and catalogue.in_pair.any()):
        return []
    counts = [_count(part, shape) for part in (detected, catalogue)]
    lacking = np.logical_and.reduce([_lacks(n_pairs, n) for n_pairs, n in counts])
    n_pairs, n = counts[1]
    best = _best(n_pairs, n)
    return [
        ThinQuarter(_QUARTERS[k], int(n_pairs[k]), float(n[k] * n_pairs[best] / n[best]))
        for k in np.flatnonzero(lacking)
    ]


def _count(part: Matched, shape: tuple[int, int]) -> tuple[IntArray, IntArray]:
    """Count the bright members with a partner, and all bright ones, of each quarter."""
    ny, nx = shape
    limit = np.quantile(part.brightness[part.in_pair], 1.0 - _BRIGHT_SHARE)
    chosen = (part.brightness >= limit) & (part.y > -0.5) & (part.y < ny - 0.5)
    chosen &= (part.x > -0.5) & (part.x < nx - 0.5)
    quarter = 2 * (part.y > (ny - 1) / 2) + (part.x > (nx - 1) / 2)
    n_pairs, n = (
        np.bincount(quarter[rows], minlength=len(_QUARTERS)).astype(np.int64)
        for rows in (chosen & part.in_pair, chosen)
    )
    return n_pairs, n


def _lacks(n_pairs: IntArray, n: IntArray) -> BoolArray:
    """Tell which quarters have a share of pairs too far below the best one's to be chance."""
    best = _best(n_pairs, n)
    lacking: BoolArray = n >= _MIN_STARS
    lacking &= n_pairs * n[best] < _MAX_SHARE * n_pairs[best] * n
    for k in np.flatnonzero(lacking):
        lacking[k] = _chance((n_pairs[k], n[k]), (n_pairs[best], n[best])) < _MAX_CHANCE
    return lacking


def _best(n_pairs: IntArray, n: IntArray) -> int:
    """Find the quarter with the largest share of pairs, among those that have enough stars."""
    return int(np.argmax(np.where(n >= _MIN_STARS, n_pairs / np.maximum(n, 1), -1.0)))


def _chance(few: tuple[int, int], many: tuple[int, int]) -> float:
    """Give the probability of so few pairs in a quarter if both share theirs alike (Fisher)."""
    (k, n), (k_best, n_best) = (tuple(map(int, pair)) for pair in (few, many))
    ways = sum(comb(n, i) * comb(n_best, k + k_best - i) for i in range(k + 1))
    return ways / comb(n + n_best, k + k_best)
