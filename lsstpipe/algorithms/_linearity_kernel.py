"""Compiled loop of the linearity correction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit


@njit(cache=True)
def add_from_table(
    signal: npt.NDArray[np.float32], table: npt.NDArray[np.float32], step: np.float32
) -> None:
    """Add to each value what a table, interpolated linearly, has for it.

    Parameters
    ----------
    signal
        Values, shape ``(ny, nx)``; changed in place.
    table
        What to add at 0, ``step``, ``2 * step`` ...; its ends hold beyond it.
    step
        Distance of its entries.
    """
    last = len(table) - 1
    inverse = np.float32(1) / step
    for y in range(signal.shape[0]):
        for x in range(signal.shape[1]):
            value = signal[y, x]
            place = min(max(value * inverse, np.float32(0)), np.float32(last - 1))
            i = np.int32(place)
            share = min(max(value * inverse - np.float32(i), np.float32(0)), np.float32(1))
            signal[y, x] = value + table[i] + share * (table[i + 1] - table[i])
