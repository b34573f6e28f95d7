"""Compiled loops over sets of pixels: growing them, and following them from seeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@njit(cache=True)
def paint_discs(pixels: BoolArray, half_widths: IntArray) -> BoolArray:
    """Set all pixels within a disc around each set pixel.

    Parameters
    ----------
    pixels
        Where to start from, shape ``(ny, nx)``.
    half_widths
        Half width of the disc on each row from its centre outwards.
    """
    ny, nx = pixels.shape
    reach = len(half_widths) - 1
    grown = pixels.copy()
    for y in range(ny):
        for x in range(nx):
            if not pixels[y, x]:
                continue
            # Discs about pixels that are surrounded add nothing to those about the rim.
            if (
                0 < y < ny - 1
                and 0 < x < nx - 1
                and (
                    pixels[y - 1, x] and pixels[y + 1, x] and pixels[y, x - 1] and pixels[y, x + 1]
                )
            ):
                continue
            for j in range(max(0, y - reach), min(ny, y + reach + 1)):
                width = half_widths[abs(j - y)]
                grown[j, max(0, x - width) : min(nx, x + width + 1)] = True
    return grown


@njit(cache=True)
def follow(found: BoolArray, seed: BoolArray) -> BoolArray:
    """Keep the regions of touching pixels, corners too, that hold a seed.

    Parameters
    ----------
    found
        Pixels of all regions, shape ``(ny, nx)``.
    seed
        Pixels to start from; those that are not in a region do nothing.
    """
    ny, nx = found.shape
    kept = np.zeros(found.shape, np.bool_)
    stack = np.empty((1024, 2), np.int64)
    for row in range(ny):
        for column in range(nx):
            if not seed[row, column] or kept[row, column] or not found[row, column]:
                continue
            kept[row, column] = True
            stack[0, 0], stack[0, 1] = row, column
            n = 1
            while n:
                n -= 1
                y, x = stack[n]
                for j in range(max(0, y - 1), min(ny, y + 2)):
                    for i in range(max(0, x - 1), min(nx, x + 2)):
                        if found[j, i] and not kept[j, i]:
                            kept[j, i] = True
                            if n == len(stack):
                                longer = np.empty((2 * n, 2), np.int64)
                                longer[:n] = stack
                                stack = longer
                            stack[n, 0], stack[n, 1] = j, i
                            n += 1
    return kept
