"""Compiled loop of the brighter-fatter correction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit


@njit(cache=True)
def add_displaced(
    measured: npt.NDArray[np.float32],
    image: npt.NDArray[np.float32],
    potential: npt.NDArray[np.float32],
) -> float:
    """Put back into each pixel what the field of its neighbourhood moved across its borders.

    The charge that crosses a border is half the mean signal on both sides times the step of the
    potential; none crosses the edge of the image. What one pixel gains another loses.

    Parameters
    ----------
    measured
        Image as measured, shape ``(ny, nx)``.
    image
        Image as it was before, by the last iteration; replaced by that of the next.
    potential
        Kernel convolved with ``image``.

    Returns
    -------
    float
        Largest change of a pixel.
    """
    ny, nx = image.shape
    half = np.float32(0.25)
    # Charge that comes over the border to the right of each pixel, below it, and above it. Loops
    # over whole rows let the compiler use vector instructions.
    right, below, above = np.zeros((3, nx), np.float32)
    change = np.zeros(nx, np.float32)
    for y in range(ny):
        row, field = image[y], potential[y]
        for x in range(nx - 1):
            right[x] = half * (row[x] + row[x + 1]) * (field[x + 1] - field[x])
        if y + 1 < ny:
            for x in range(nx):
                below[x] = half * (row[x] + image[y + 1, x]) * (potential[y + 1, x] - field[x])
        else:
            below[:] = np.float32(0)
        for x in range(nx):
            left = right[x - 1] if x > 0 else np.float32(0)
            value = measured[y, x] + (right[x] - left) + (below[x] - above[x])
            change[x] = max(change[x], abs(value - row[x]))
            row[x] = value
        above[:] = below
    return float(change.max())
