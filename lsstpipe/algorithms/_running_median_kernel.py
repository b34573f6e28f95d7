"""Compiled loop of the running median."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatImage = npt.NDArray[np.float32]


@njit(cache=True)
def running_median(image: FloatImage, size: int) -> FloatImage:
    """Take the median of the pixels around each along its row; the row goes on as it ends.

    The window is kept in order: from pixel to pixel one value leaves it and one comes in.

    Parameters
    ----------
    image
        Finite values, shape ``(ny, nx)``.
    size
        Length of the window, odd, pixels.
    """
    ny, nx = image.shape
    half = size // 2
    result = np.empty_like(image)
    window = np.empty(size, np.float32)
    for y in range(ny):
        for k in range(size):
            window[k] = image[y, min(max(k - half, 0), nx - 1)]
        window.sort()
        result[y, 0] = window[half]
        for x in range(1, nx):
            leaves = image[y, max(x - 1 - half, 0)]
            comes = image[y, min(x + half, nx - 1)]
            i = 0
            while i < size - 1 and window[i] != leaves:
                i += 1
            while i < size - 1 and window[i + 1] < comes:
                window[i] = window[i + 1]
                i += 1
            while i > 0 and window[i - 1] > comes:
                window[i] = window[i - 1]
                i -= 1
            window[i] = comes
            result[y, x] = window[half]
    return result
