"""Compiled loop over pixels of a difference of flats that lie near each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]


@njit(cache=True, fastmath={"reassoc", "contract"})
def sum_products(
    image: FloatArray, good: npt.NDArray[np.bool_], max_lag: int
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Add up the products of pixels at each distance, and count the pairs of good ones.

    Parameters
    ----------
    image
        Pixels, 0 where they are not good, shape ``(ny, nx)``.
    good
        Pixels that count, same shape.
    max_lag
        Largest distance in y and in x.

    Returns
    -------
    total, n
        By the distances in y, from 0, and in x, from ``-max_lag``, shape
        ``(max_lag + 1, 2 max_lag + 1)``.
    """
    ny, nx = image.shape
    shape = (max_lag + 1, 2 * max_lag + 1)
    total, count = np.zeros(shape), np.zeros(shape, np.int64)
    for y in range(ny):
        for dy in range(min(max_lag + 1, ny - y)):
            for k in range(shape[1]):
                dx = k - max_lag
                n = nx - abs(dx)
                first, second = max(0, -dx), max(0, dx)
                low, high = image[y, first : first + n], image[y + dy, second : second + n]
                low_good, high_good = good[y, first : first + n], good[y + dy, second : second + n]
                row, n_good = 0.0, 0
                for x in range(n):
                    row += low[x] * high[x]
                for x in range(n):
                    n_good += low_good[x] & high_good[x]
                total[dy, k] += row
                count[dy, k] += n_good
    return total, count
