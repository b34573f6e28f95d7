"""Compiled loops over the pixels of a stack of images, some pixels of a row at a time.

Every step is done for all of these pixels before the next: the compiler makes vector instructions
of the loops over them, which have no branches.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_N_LANES = 64
"""Pixels at a time: their values stay in the processor's cache."""


@njit(cache=True)
def load_lanes(stack: npt.NDArray[Any], y: int, x: int, values: FloatArray) -> None:
    """Copy the values of some pixels; what is not finite becomes infinite.

    Parameters
    ----------
    stack
        Shape ``(n, ny, nx)``.
    y, x
        The first of the pixels.
    values
        Receives them, shape ``(n, n_pixels)``; infinite beyond the end of the row.
    """
    for i in range(len(values)):
        line, row = stack[i, y, x : x + values.shape[1]], values[i]
        row[len(line) :] = np.inf
        for lane in range(len(line)):
            value = np.float64(line[lane])
            row[lane] = value if abs(value) < np.inf else np.inf


@njit(cache=True)
def median_lanes(values: FloatArray, ordered: FloatArray, centre: FloatArray) -> None:
    """Take the median of each column.

    Parameters
    ----------
    values
        Shape ``(n, n_pixels)``; what is infinite does not count.
    ordered
        Work space of the same shape; the sorted columns.
    centre
        Receives the medians; NaN where nothing counts.
    """
    n = len(values)
    ordered[:] = values
    # Insertion, but with steps that do not depend on the values.
    for i in range(1, n):
        for k in range(i, 0, -1):
            before, after = ordered[k - 1], ordered[k]
            for lane in range(len(before)):
                a, b = before[lane], after[lane]
                before[lane], after[lane] = (a if a < b else b), (b if a < b else a)
    for lane in range(len(centre)):
        known = n
        while known > 0 and ordered[known - 1, lane] == np.inf:
            known -= 1
        low, high = ordered[max(0, known - 1) // 2, lane], ordered[known // 2 % n, lane]
        centre[lane] = (low + high) / 2 if known > 0 else np.nan


@njit(cache=True, error_model="numpy")
def clip_lanes(values: FloatArray, limits: FloatArray, share: FloatArray, sums: FloatArray) -> None:
    """Average each column without the values too far from its centre.

    Parameters
    ----------
    values, limits
        Values, and the largest distance of each from the centre, shape ``(n, n_pixels)``.
    share
        Weight of each row, shape ``(n,)``.
    sums
        Centre, which is replaced by the mean, and what receives the number of the values within
        the limits and the sum of their weights; shape ``(5, n_pixels)``, the last two rows work
        space.
    """
    centre, used, weight, total, kept = sums[0], sums[1], sums[2], sums[3], sums[4]
    sums[1:] = 0.0
    for i in range(len(values)):
        own, row, limit = share[i], values[i], limits[i]
        # One loop a sum: with more arrays in a loop the compiler makes no vector instructions.
        for lane in range(len(row)):
            kept[lane] = 1.0 if abs(row[lane] - centre[lane]) <= limit[lane] else 0.0
        for lane in range(len(row)):
            used[lane] += kept[lane]
        for lane in range(len(row)):
            weight[lane] += own * kept[lane]
        for lane in range(len(row)):
            total[lane] += row[lane] * own * kept[lane]
    for lane in range(len(centre)):
        centre[lane] = total[lane] / weight[lane]


@njit(cache=True)
def clip_pixels(
    stack: npt.NDArray[Any],
    limit: npt.NDArray[Any],
    share: FloatArray,
    n_iterations: int,
    out: tuple[FloatArray, IntArray, FloatArray],
) -> None:
    """Average the values of each pixel without those too far from their centre.

    The centre is the median at first, then the mean of what is left.

    Parameters
    ----------
    stack
        Values, shape ``(n, ny, nx)``; what is not finite is left out.
    limit
        Largest distance from the centre, of the same shape.
    share
        Weight of each image, shape ``(n,)``.
    n_iterations
        Rounds, at least 1.
    out
        Receive the means, NaN where no value is left, the number of values and the sum of their
        weights, shape ``(ny, nx)``.
    """
    n, ny, nx = stack.shape
    values, ordered = np.empty((n, _N_LANES)), np.empty((n, _N_LANES))
    limits, sums = np.zeros((n, _N_LANES)), np.empty((5, _N_LANES))
    for y in range(ny):
        for x in range(0, nx, _N_LANES):
            load_lanes(stack, y, x, values)
            median_lanes(values, ordered, sums[0])
            for i in range(n):
                line, known, allowed = limit[i, y, x : x + _N_LANES], values[i], limits[i]
                for lane in range(len(line)):
                    allowed[lane] = line[lane] if known[lane] < np.inf else -1.0
                for lane in range(_N_LANES):
                    known[lane] = known[lane] if known[lane] < np.inf else 0.0
            for _ in range(n_iterations):
                clip_lanes(values, limits, share, sums)
            n_lanes = min(_N_LANES, nx - x)
            for lane in range(n_lanes):
                out[0][y, x + lane] = sums[0, lane]
                out[1][y, x + lane] = int(sums[1, lane])
                out[2][y, x + lane] = sums[2, lane]


@njit(cache=True)
def median_pixels(stack: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    """Take the median of each pixel.

    Parameters
    ----------
    stack
        Values, shape ``(n, ny, nx)``; what is not finite is left out.
    out
        Receives the medians, NaN where no value is finite, shape ``(ny, nx)``.
    """
    n, ny, nx = stack.shape
    values, ordered = np.empty((n, _N_LANES)), np.empty((n, _N_LANES))
    centre = np.empty(_N_LANES)
    for y in range(ny):
        for x in range(0, nx, _N_LANES):
            load_lanes(stack, y, x, values)
            median_lanes(values, ordered, centre)
            for lane in range(min(_N_LANES, nx - x)):
                out[y, x + lane] = centre[lane]
