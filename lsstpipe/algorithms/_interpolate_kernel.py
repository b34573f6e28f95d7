"""Compiled loop that fills pixels from their neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@njit(cache=True)
def fill_pass(
    image: FloatArray,
    known: BoolArray,
    pixels: IntArray,
    covariance: FloatArray,
    limits: tuple[int, int, float],
) -> BoolArray:
    """Predict pixels from known ones near them by ordinary kriging.

    Parameters
    ----------
    image
        Pixel values; predicted pixels are written.
    known
        Pixels to predict from.
    pixels
        Pixels to predict, shape ``(n, 2)``.
    covariance
        Covariance of two pixels at a distance, shape ``(k, k)`` in rows and columns between them.
    limits
        ``(radius, n_least, nugget)``: reach in pixels, least number of known pixels, and the noise
        variance of a pixel relative to ``covariance[0, 0]``.

    Returns
    -------
    numpy.ndarray
        Which of the pixels were predicted, shape ``(n,)``.
    """
    radius, n_least, nugget = limits
    ny, nx = image.shape
    n_most = (2 * radius + 1) ** 2
    ys, xs = np.empty(n_most, np.int64), np.empty(n_most, np.int64)
    done = np.zeros(len(pixels), np.bool_)
    values = np.empty(len(pixels))
    for p in range(len(pixels)):
        y, x = pixels[p]
        n = 0
        for j in range(max(0, y - radius), min(ny, y + radius + 1)):
            for i in range(max(0, x - radius), min(nx, x + radius + 1)):
                if known[j, i]:
                    ys[n], xs[n] = j, i
                    n += 1
        if n < n_least:
            continue
        # The last row and column make the weights add up to 1: the level of the sky is kept.
        matrix = np.ones((n + 1, n + 1))
        target = np.ones(n + 1)
        for a in range(n):
            target[a] = covariance[abs(ys[a] - y), abs(xs[a] - x)]
            for b in range(n):
                matrix[a, b] = covariance[abs(ys[a] - ys[b]), abs(xs[a] - xs[b])]
            matrix[a, a] += nugget
        matrix[n, n] = 0.0
        weights = np.linalg.solve(matrix, target)
        total = 0.0
        for a in range(n):
            total += weights[a] * image[ys[a], xs[a]]
        values[p] = total
        done[p] = True
    for p in range(len(pixels)):
        if done[p]:
            image[pixels[p, 0], pixels[p, 1]] = values[p]
    return done
