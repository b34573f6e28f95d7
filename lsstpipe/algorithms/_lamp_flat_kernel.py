"""Compiled sum over the pixels of flat frames."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]


@njit(cache=True)
def sum_alike(frame: FloatImage, mean: FloatArray, share: float) -> tuple[float, float]:
    """Sum a frame and the mean of all over the pixels where both are nearly the same.

    Parameters
    ----------
    frame, mean
        Shape ``(ny, nx)``; what is NaN in either does not count.
    share
        Of the mean, that a pixel may differ by.
    """
    own, common = 0.0, 0.0
    for y in range(frame.shape[0]):
        own_row, common_row = 0.0, 0.0
        for x in range(frame.shape[1]):
            value, other = np.float64(frame[y, x]), mean[y, x]
            if abs(value - other) < share * abs(other):
                own_row += value
                common_row += other
        own += own_row
        common += common_row
    return own, common
