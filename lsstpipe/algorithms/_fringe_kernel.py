"""Compiled loop over the cells of an image and its fringes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit


@njit(cache=True)
def sum_cells(
    image: npt.NDArray[np.float32],
    fringe: npt.NDArray[np.float32],
    good: npt.NDArray[np.bool_],
    size: int,
) -> npt.NDArray[np.float64]:
    """Sum both images over the good pixels of square cells.

    Parameters
    ----------
    image, fringe
        Shape ``(ny, nx)``.
    good
        Pixels to use.
    size
        Side of a cell; what is left at the upper edges is not used.

    Returns
    -------
    numpy.ndarray
        Sums of ``image`` and of ``fringe``, and number of good pixels, shape
        ``(3, ny // size, nx // size)``.
    """
    ny, nx = image.shape[0] // size, image.shape[1] // size
    sums = np.zeros((3, ny, nx))
    for y in range(ny * size):
        for x in range(nx * size):
            if good[y, x]:
                j, i = y // size, x // size
                sums[0, j, i] += image[y, x]
                sums[1, j, i] += fringe[y, x]
                sums[2, j, i] += 1
    return sums
