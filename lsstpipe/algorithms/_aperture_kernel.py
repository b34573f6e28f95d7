"""Loops over the pixels around many positions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]


@njit(cache=True)
def ring_medians(
    image: npt.NDArray[np.float32],
    usable: npt.NDArray[np.bool_],
    position: FloatArray,
    radii: tuple[float, float],
    n_least: int,
) -> FloatArray:
    """Take the median of the usable pixels in a ring around each position.

    Parameters
    ----------
    image, usable
        Pixels and which of them count, shape ``(ny, nx)``.
    position
        Row and column of each position, shape ``(n, 2)``.
    radii
        Inner and outer radius, in pixels.
    n_least
        With fewer pixels the result is 0.
    """
    ny, nx = image.shape
    inner, outer = radii
    reach = int(np.ceil(outer))
    values = np.empty((2 * reach + 3) ** 2)
    result = np.zeros(len(position))
    for k in range(len(position)):
        row, column = position[k]
        if not (np.isfinite(row) and np.isfinite(column)) or abs(row) > 1e8 or abs(column) > 1e8:
            continue
        n = 0
        for i in range(max(0, int(row) - reach), min(ny, int(row) + reach + 2)):
            for j in range(max(0, int(column) - reach), min(nx, int(column) + reach + 2)):
                distance2 = (i - row) ** 2 + (j - column) ** 2
                if inner**2 <= distance2 <= outer**2 and usable[i, j]:
                    values[n] = image[i, j]
                    n += 1
        if n >= n_least:
            result[k] = np.median(values[:n])
    return result
