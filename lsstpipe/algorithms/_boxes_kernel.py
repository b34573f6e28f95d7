"""A compiled loop that sums an image over square boxes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Sums = npt.NDArray[np.float64]
Image = npt.NDArray[np.floating]


@njit(cache=True)
def sum_boxes(
    image: Image, variance: Image, usable: npt.NDArray[np.bool_], size: int
) -> tuple[Sums, Sums, Sums]:
    """Sum the good pixels of each box: their values, their variances and their number.

    Parameters
    ----------
    image, variance
        Shape ``(ny, nx)``.
    usable
        Pixels that count, same shape.
    size
        Side of a box, pixels; what is left at the upper edges makes smaller boxes.

    Returns
    -------
    total, noise, n
        One value a box, shape ``(ceil(ny / size), ceil(nx / size))``.
    """
    ny, nx = image.shape
    total, noise, n = np.zeros((3, (ny + size - 1) // size, (nx + size - 1) // size))
    for y in range(ny):
        i = y // size
        for j in range(total.shape[1]):
            values, variances, number = 0.0, 0.0, 0
            for x in range(j * size, min(nx, (j + 1) * size)):
                if usable[y, x]:
                    values += image[y, x]
                    variances += variance[y, x]
                    number += 1
            total[i, j] += values
            noise[i, j] += variances
            n[i, j] += number
    return total, noise, n
