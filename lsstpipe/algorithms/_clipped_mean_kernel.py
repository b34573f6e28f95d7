"""Compiled loop of the clipped mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]


@njit(cache=True)
def clip_pixels(
    stack: npt.NDArray[Any],
    limit: npt.NDArray[Any],
    share: FloatArray,
    n_iterations: int,
    out: tuple[FloatArray, npt.NDArray[np.int64], FloatArray],
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
        Rounds.
    out
        Receive the means, NaN where no value is left, the number of values and the sum of their
        weights, shape ``(ny, nx)``.
    """
    n, ny, nx = stack.shape
    values, ordered = np.empty(n, np.float64), np.empty(n, np.float64)
    places = np.empty(n, np.int64)
    for y in range(ny):
        for x in range(nx):
            known = 0
            weight = 0.0
            for i in range(n):
                value = np.float64(stack[i, y, x])
                if not np.isfinite(value):
                    continue
                values[known], places[known] = value, i
                weight += share[i]
                k = known
                while k > 0 and ordered[k - 1] > value:
                    ordered[k] = ordered[k - 1]
                    k -= 1
                ordered[k] = value
                known += 1
            if known == 0:
                out[0][y, x], out[1][y, x], out[2][y, x] = np.nan, 0, 0.0
                continue
            centre = (ordered[(known - 1) // 2] + ordered[known // 2]) / 2
            used = known
            for _ in range(n_iterations):
                total, weight, used = 0.0, 0.0, 0
                for k in range(known):
                    i = places[k]
                    if abs(values[k] - centre) <= limit[i, y, x]:
                        total += values[k] * share[i]
                        weight += share[i]
                        used += 1
                centre = total / weight if weight > 0 else np.nan
            out[0][y, x], out[1][y, x], out[2][y, x] = centre, used, weight
