"""The stellar locus: how narrow the line of stars in a diagram of two colours is (wPerp)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

SIGMA_PER_MAD = 1.4826022185056018
"""Standard deviation of a normal distribution over its median absolute deviation."""

START_SLOPE, START_INTERCEPT = 0.483, -0.042
"""Where the fit of the gri locus starts, as in Rubin's analysis_tools."""

_X_RANGE = (0.28, 1.0)
_Y_RANGE = (0.02, 0.48)
_MIN_STARS = 3
_N_ITERATIONS = 3
_CLIP_SIGMA = 5.0


@dataclass(frozen=True, slots=True)
class Locus:
    """A line through the stars, and how far they lie from it.

    Attributes
    ----------
    slope, intercept
        Of the line ``r - i = slope (g - r) + intercept``.
    distance
        Perpendicular distance of each star of the blue part of the locus, mag, shape ``(n,)``.
    """

    slope: float
    intercept: float
    distance: FloatArray

    @property
    def width(self) -> float:
        """Standard deviation of the distances from their median absolute deviation, mag."""
        if not len(self.distance):
            return float("nan")
        return float(SIGMA_PER_MAD * np.median(np.abs(self.distance - np.median(self.distance))))


def fit_gri_locus(g_minus_r: FloatArray, r_minus_i: FloatArray) -> Locus:
    """Fit the straight part of the locus by least perpendicular distances.

    The part lies in 0.28 < g - r < 1.0 and 0.02 < r - i < 0.48 and between the perpendiculars to
    the line through the corners of that range (Ivezic et al. 2004; Rubin's analysis_tools).

    Parameters
    ----------
    g_minus_r, r_minus_i
        Colours free of extinction, mag, shape ``(n,)``; NaN where there is none.
    """
    with np.errstate(invalid="ignore"):
        box = (g_minus_r > _X_RANGE[0]) & (g_minus_r < _X_RANGE[1])
        box &= (r_minus_i > _Y_RANGE[0]) & (r_minus_i < _Y_RANGE[1])
    x, y = g_minus_r[box], r_minus_i[box]
    slope, intercept = START_SLOPE, START_INTERCEPT
    inside = _between(x, y, slope, intercept)
    for _ in range(_N_ITERATIONS):
        distance = _distance(x, y, slope, intercept)
        if inside.sum() < _MIN_STARS:
            return Locus(slope, intercept, distance[inside][:0])
        spread = SIGMA_PER_MAD * np.median(np.abs(distance[inside] - np.median(distance[inside])))
        near = np.abs(distance - np.median(distance[inside])) <= _CLIP_SIGMA * max(spread, 1e-6)
        slope, intercept = _fit_line(x[inside & near], y[inside & near])
        inside = _between(x, y, slope, intercept)
    return Locus(slope, intercept, _distance(x, y, slope, intercept)[inside])


def _fit_line(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Fit a line by least perpendicular distances: the long axis of the cloud of points."""
    mean_x, mean_y = float(np.mean(x)), float(np.mean(y))
    dx, dy = x - mean_x, y - mean_y
    xx, yy, xy = float(dx @ dx), float(dy @ dy), float(dx @ dy)
    angle = 0.5 * np.arctan2(2.0 * xy, xx - yy)
    slope = float(np.tan(angle))
    return slope, mean_y - slope * mean_x


def _distance(x: FloatArray, y: FloatArray, slope: float, intercept: float) -> FloatArray:
    """Measure the perpendicular distance from a line; positive above it."""
    result: FloatArray = (y - slope * x - intercept) / np.hypot(1.0, slope)
    return result


def _between(x: FloatArray, y: FloatArray, slope: float, intercept: float) -> npt.NDArray[np.bool_]:
    """Find the points between the perpendiculars through the ends of the range of g - r."""
    norm = np.hypot(1.0, slope)
    along = (x + slope * (y - intercept)) / norm
    ends = [end * norm for end in _X_RANGE]
    result: npt.NDArray[np.bool_] = (along > ends[0]) & (along < ends[1])
    return result
