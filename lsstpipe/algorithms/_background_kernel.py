"""Compiled loop over the meshes of a background."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_MAX_CLIPS = 5
_N_SORTED = 256
"""Values that the first quartiles are taken from; the clipping forgets where it began."""


@njit(cache=True)
def quartiles(values: FloatImage) -> tuple[float, float]:
    """Return the median and the standard deviation that the quartiles of a Gaussian would have.

    Parameters
    ----------
    values
        At least one; only evenly spaced ones are looked at where there are many.
    """
    step = max(1, len(values) // _N_SORTED)
    some = np.sort(values[::step])
    last = len(some) - 1
    width = (some[round(0.75 * last)] - some[round(0.25 * last)]) / 1.349
    return float(some[round(0.5 * last)]), float(width)


@njit(cache=True)
def clipped_mean(values: FloatImage) -> tuple[float, float]:
    """Return the mean and standard deviation of the values within 3 deviations of the mean.

    Parameters
    ----------
    values
        At least one.
    """
    center, width = quartiles(values)
    n_before = -1
    for _ in range(_MAX_CLIPS):
        n, total, squares = 0, 0.0, 0.0
        for value in values:
            offset = value - center
            if abs(offset) <= 3.0 * width:
                n += 1
                total += offset
                squares += offset * offset
        if n < 3:
            break
        mean = total / n
        center += mean
        # 0.9866: standard deviation of a unit Gaussian cut at 3.
        width = max(np.sqrt(max(squares / n - mean * mean, 0.0)) / 0.9866, 1e-12)
        if n == n_before:
            break
        n_before = n
    return center, width


@njit(cache=True)
def mesh_statistics(
    image: FloatImage, good: BoolArray, edges_y: IntArray, edges_x: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Take the clipped mean and standard deviation of every mesh.

    Parameters
    ----------
    image, good
        Pixels and which of them count, shape ``(ny, nx)``.
    edges_y, edges_x
        First row and column of each mesh, and the end of the last.

    Returns
    -------
    level, rms
        One value a mesh; NaN where fewer than a tenth of the pixels, or than 16, count.
    """
    shape = (len(edges_y) - 1, len(edges_x) - 1)
    level, rms = np.full(shape, np.nan), np.full(shape, np.nan)
    largest = np.max(np.diff(edges_y)) * np.max(np.diff(edges_x))
    values = np.empty(largest, np.float32)
    for j in range(shape[0]):
        for i in range(shape[1]):
            n = 0
            for y in range(edges_y[j], edges_y[j + 1]):
                for x in range(edges_x[i], edges_x[i + 1]):
                    if good[y, x]:
                        values[n] = image[y, x]
                        n += 1
            n_pixels = (edges_y[j + 1] - edges_y[j]) * (edges_x[i + 1] - edges_x[i])
            if n >= max(16, 0.1 * n_pixels):
                level[j, i], rms[j, i] = clipped_mean(values[:n])
    return level, rms
