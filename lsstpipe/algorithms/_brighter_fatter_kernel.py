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
    above = np.zeros(nx, np.float32)
    change = np.float32(0)
    for y in range(ny):
        left = np.float32(0)
        for x in range(nx):
            here = image[y, x]
            right = np.float32(0)
            if x + 1 < nx:
                right = half * (here + image[y, x + 1]) * (potential[y, x + 1] - potential[y, x])
            below = np.float32(0)
            if y + 1 < ny:
                below = half * (here + image[y + 1, x]) * (potential[y + 1, x] - potential[y, x])
            value = measured[y, x] + (right - left) + (below - above[x])
            change = max(change, abs(value - here))
            image[y, x] = value
            left = right
            above[x] = below
    return float(change)
