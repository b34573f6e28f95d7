"""Compiled loops that grow saturated regions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

BoolArray = npt.NDArray[np.bool_]


@njit(cache=True)
def widen_runs(full: BoolArray, growth: npt.NDArray[np.int64]) -> BoolArray:
    """Widen each run of pixels along a row by what its length calls for.

    Parameters
    ----------
    full
        Saturated pixels, shape ``(ny, nx)``.
    growth
        Pixels to add on either side of a run of each length from 0; the last holds beyond.
    """
    ny, nx = full.shape
    grown = full.copy()
    for y in range(ny):
        x = 0
        while x < nx:
            if not full[y, x]:
                x += 1
                continue
            end = x
            while end < nx and full[y, end]:
                end += 1
            more = growth[min(end - x, len(growth) - 1)]
            grown[y, max(0, x - more) : min(nx, end + more)] = True
            x = end
    return grown


@njit(cache=True)
def grow_square(full: BoolArray, radius: int) -> BoolArray:
    """Set every pixel of a square around each set one.

    Parameters
    ----------
    full
        Pixels, shape ``(ny, nx)``.
    radius
        Half the side of the square.
    """
    ny, nx = full.shape
    grown = full.copy()
    for y in range(ny):
        for x in range(nx):
            if full[y, x]:
                for j in range(max(0, y - radius), min(ny, y + radius + 1)):
                    grown[j, max(0, x - radius) : min(nx, x + radius + 1)] = True
    return grown
