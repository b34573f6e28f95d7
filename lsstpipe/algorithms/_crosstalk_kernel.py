"""Compiled loop of the crosstalk correction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit


@njit(cache=True)
def subtract_sums(
    cube: npt.NDArray[np.float32],
    coefficients: npt.NDArray[np.float32],
    level: np.float32,
    flagged: npt.NDArray[np.bool_],
) -> None:
    """Subtract from each amplifier its share of all the others, pixel by pixel as they are read.

    Parameters
    ----------
    cube
        Signal, shape ``(n, ny, nx)``; changed in place.
    coefficients
        Share of the source (column) in the victim (row), shape ``(n, n)``.
    level
        Subtracted signal from which a pixel is flagged.
    flagged
        Set True there, shape ``(n, ny, nx)``.
    """
    n, ny, nx = cube.shape
    sums = np.empty((n, nx), np.float32)
    for y in range(ny):
        sums[:] = np.float32(0)
        for victim in range(n):
            for source in range(n):
                share = coefficients[victim, source]
                if share != 0:
                    for x in range(nx):
                        sums[victim, x] += share * cube[source, y, x]
        for victim in range(n):
            for x in range(nx):
                cube[victim, y, x] -= sums[victim, x]
                if abs(sums[victim, x]) >= level:
                    flagged[victim, y, x] = True
