"""Compiled loops that grow a set of pixels by a radius."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@njit(cache=True)
def grow(pixels: BoolArray, half_widths: IntArray) -> BoolArray:
    """Add the pixels of a disc around each pixel.

    Parameters
    ----------
    pixels
        Where to grow from, shape ``(ny, nx)``.
    half_widths
        Half the width of the disc by rows away from its centre, shape ``(r + 1,)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(ny, nx)``.
    """
    ny, nx = pixels.shape
    radius = len(half_widths) - 1
    away = rows_away(pixels, radius)
    grown = np.zeros((ny, nx), np.bool_)
    for y in range(ny):
        reach = -1
        for x in range(nx):
            if away[y, x] <= radius:
                reach = max(reach, x + half_widths[away[y, x]])
            grown[y, x] = x <= reach
        reach = nx
        for x in range(nx - 1, -1, -1):
            if away[y, x] <= radius:
                reach = min(reach, x - half_widths[away[y, x]])
            grown[y, x] |= x >= reach
    return grown


@njit(cache=True)
def rows_away(pixels: BoolArray, radius: int) -> npt.NDArray[np.uint16]:
    """Count the rows to the nearest pixel of the set in the same column.

    Parameters
    ----------
    pixels
        The set, shape ``(ny, nx)``.
    radius
        Larger counts are given as one more than this.

    Returns
    -------
    numpy.ndarray
        Shape ``(ny, nx)``.
    """
    ny, nx = pixels.shape
    away = np.full((ny, nx), np.uint16(radius + 1))
    for y in range(ny):
        for x in range(nx):
            if pixels[y, x]:
                away[y, x] = 0
            elif y > 0 and away[y - 1, x] <= radius:
                away[y, x] = away[y - 1, x] + 1
    for y in range(ny - 2, -1, -1):
        for x in range(nx):
            if away[y + 1, x] < away[y, x]:
                away[y, x] = away[y + 1, x] + 1
    return away
