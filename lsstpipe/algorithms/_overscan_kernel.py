"""Compiled loop over the rows of an overscan."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit


@njit(cache=True)
def median_of_rows(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Take the median of each row.

    Parameters
    ----------
    pixels
        Shape ``(ny, nx)``, nx at least 1.

    Returns
    -------
    numpy.ndarray
        Shape ``(ny,)``; of an even number of pixels the mean of the two in the middle.
    """
    ny, nx = pixels.shape
    result = np.empty(ny, np.float32)
    row = np.empty(nx, np.float32)
    for y in range(ny):
        # Insertion sort: rows are a few tens of pixels.
        for x in range(nx):
            value = pixels[y, x]
            i = x
            while i > 0 and row[i - 1] > value:
                row[i] = row[i - 1]
                i -= 1
            row[i] = value
        result[y] = np.float32(0.5) * (row[(nx - 1) // 2] + row[nx // 2])
    return result
