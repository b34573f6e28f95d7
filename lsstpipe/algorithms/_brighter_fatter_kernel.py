"""Compiled loops of the brighter-fatter correction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatImage = npt.NDArray[np.float32]

_N_TAPS = 4
"""Elements of the kernel that are taken at a time: a pixel is loaded and stored once for them."""


@njit(cache=True)
def spread_row(
    potential: FloatImage, y: int, row: FloatImage, level: np.float32, taps: FloatImage
) -> None:
    """Add to the rows of a potential what one row of an image has above a level.

    Parameters
    ----------
    potential
        Rows of it, shape ``(n, nx)``, each in the place of its number modulo n; changed.
    y, row
        Number of the row of the image, and its pixels, shape ``(nx,)``.
    level
        What it is at beyond its ends.
    taps
        Of the kernel, both axes reversed, shape ``(s, m)``; 0 from its column s on.
    """
    n_rows, nx = potential.shape
    size, width = taps.shape
    half = size // 2
    line = np.zeros(nx + width, np.float32)
    for x in range(nx):
        line[half + x] = row[x] - level
    for j in range(size):
        target = y + half - j
        if target < 0:
            continue
        reached = potential[target % n_rows]
        for group in range(width // _N_TAPS):
            i = group * _N_TAPS
            a, b, c, d = taps[j, i], taps[j, i + 1], taps[j, i + 2], taps[j, i + 3]
            for x in range(nx):
                reached[x] += (
                    a * line[x + i]
                    + b * line[x + i + 1]
                    + c * line[x + i + 2]
                    + d * line[x + i + 3]
                )


@njit(cache=True)
def add_displaced(
    measured: FloatImage, image: FloatImage, kernel: FloatImage, level: np.float32
) -> float:
    """Put back into each pixel what the field of its neighbourhood moved across its borders.

    The charge that crosses a border is half the mean signal on both sides times the step of the
    potential, which is the kernel convolved with the image; none crosses the edge of the image.
    What one pixel gains another loses. For a kernel of 11 pixels the sum takes half the time of a
    Fourier transform.

    Parameters
    ----------
    measured
        Image as measured, shape ``(ny, nx)``.
    image
        Image as it was before, by the last iteration; replaced by that of the next.
    kernel
        Potential of one electron, shape ``(s, s)`` with s odd.
    level
        Electrons that the image has beyond its edges.

    Returns
    -------
    float
        Largest change of a pixel.
    """
    ny, nx = image.shape
    size = kernel.shape[0]
    reach = size // 2
    taps = np.zeros((size, (size + _N_TAPS - 1) // _N_TAPS * _N_TAPS), np.float32)
    taps[:, :size] = kernel[::-1, ::-1]
    # Rows of the potential are made when they are needed: of rows that are not yet replaced.
    n_rows = size + 1
    potential = np.zeros((n_rows, nx), np.float32)
    n_spread = 0
    quarter = np.float32(0.25)
    # Charge that comes over the border to the right of each pixel, below it, and above it. Loops
    # over whole rows let the compiler use vector instructions.
    right, below, above = np.zeros((3, nx), np.float32)
    change = np.zeros(nx, np.float32)
    for y in range(ny):
        while n_spread < min(ny, y + reach + 2):
            spread_row(potential, n_spread, image[n_spread], level, taps)
            n_spread += 1
        row, field, next_field = image[y], potential[y % n_rows], potential[(y + 1) % n_rows]
        for x in range(nx - 1):
            right[x] = quarter * (row[x] + row[x + 1]) * (field[x + 1] - field[x])
        if y + 1 < ny:
            for x in range(nx):
                below[x] = quarter * (row[x] + image[y + 1, x]) * (next_field[x] - field[x])
        else:
            below[:] = np.float32(0)
        for x in range(nx):
            left = right[x - 1] if x > 0 else np.float32(0)
            value = measured[y, x] + (right[x] - left) + (below[x] - above[x])
            change[x] = max(change[x], abs(value - row[x]))
            row[x] = value
        above[:] = below
        field[:] = np.float32(0)
    return float(change.max())
