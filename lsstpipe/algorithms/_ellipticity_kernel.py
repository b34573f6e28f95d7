"""Compiled loop over pairs of stars for the correlation of ellipticities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]


@njit(cache=True)
def correlate(vectors: FloatArray, ellipticity: FloatArray, chords: FloatArray) -> FloatArray:
    """Sum the products of the ellipticities of all pairs of stars by their distance.

    Parameters
    ----------
    vectors
        Unit vectors of the stars, shape ``(n, 3)``.
    ellipticity
        Components e1 and e2, shape ``(n, 2)``.
    chords
        Ascending edges of the bins as chords of the unit sphere, shape ``(n_bin + 1,)``.

    Returns
    -------
    numpy.ndarray
        Number of pairs, sum of the logarithms of their chords, sum of ``e1 e1' + e2 e2'`` and sum
        of its squares, shape ``(n_bin, 4)``.
    """
    n_bin = len(chords) - 1
    result = np.zeros((n_bin, 4))
    lowest, highest = chords[0] ** 2, chords[n_bin] ** 2
    squares = chords**2
    for i in range(len(vectors)):
        for j in range(i + 1, len(vectors)):
            dz = vectors[i, 2] - vectors[j, 2]
            square = dz * dz
            if square >= highest:
                continue
            dx = vectors[i, 0] - vectors[j, 0]
            dy = vectors[i, 1] - vectors[j, 1]
            square += dx * dx + dy * dy
            if square < lowest or square >= highest:
                continue
            b = np.searchsorted(squares, square, side="right") - 1
            product = ellipticity[i, 0] * ellipticity[j, 0] + ellipticity[i, 1] * ellipticity[j, 1]
            result[b, 0] += 1.0
            result[b, 1] += 0.5 * np.log(square)
            result[b, 2] += product
            result[b, 3] += product * product
    return result
