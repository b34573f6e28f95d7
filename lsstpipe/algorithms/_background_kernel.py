"""Compiled loop over the meshes of a background."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_MOST_SORTED = 1024


@njit(cache=True)
def clipped_mean(values: FloatArray) -> tuple[float, float]:
    """Take the mean and standard deviation of values within 3 deviations of the middle.

    The quartiles that the clipping starts from are those of at most some 1000 values spread
    evenly over the sample.

    Parameters
    ----------
    values
        At least one value.

    Returns
    -------
    mean, deviation
        After at most five steps.
    """
    few = np.sort(values[:: 1 + (len(values) - 1) // _MOST_SORTED])
    last = len(few) - 1
    center = few[last // 2] if last % 2 == 0 else 0.5 * (few[last // 2] + few[last // 2 + 1])
    width = (few[(3 * last) // 4] - few[last // 4]) / 1.349
    n_before = -1
    for _ in range(5):
        low, high = center - 3.0 * width, center + 3.0 * width
        n, total, squares = 0, 0.0, 0.0
        for value in values:
            if low <= value <= high:
                n += 1
                total += value - center
                squares += (value - center) ** 2
        if n < 3 or n == n_before:
            break
        n_before = n
        mean = total / n
        # 0.9866: standard deviation of a unit Gaussian cut at 3.
        width = max(np.sqrt(max(squares / n - mean * mean, 0.0)) / 0.9866, 1e-12)
        center += mean
    return center, width


@njit(cache=True)
def mesh_statistics(
    image: FloatImage, good: BoolArray, edges_y: IntArray, edges_x: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Take the clipped mean and standard deviation of every mesh.

    Parameters
    ----------
    image, good
        Pixels, and which of them count, shape ``(ny, nx)``.
    edges_y, edges_x
        Where the meshes begin, and the end of the last.

    Returns
    -------
    level, rms
        NaN where a mesh has fewer than a tenth of its pixels, or 16.
    """
    shape = (len(edges_y) - 1, len(edges_x) - 1)
    level, rms = np.full(shape, np.nan), np.full(shape, np.nan)
    for j in range(shape[0]):
        for i in range(shape[1]):
            size = (edges_y[j + 1] - edges_y[j]) * (edges_x[i + 1] - edges_x[i])
            values = np.empty(size)
            n = 0
            for y in range(edges_y[j], edges_y[j + 1]):
                for x in range(edges_x[i], edges_x[i + 1]):
                    if good[y, x]:
                        values[n] = image[y, x]
                        n += 1
            if n >= max(16, 0.1 * size):
                level[j, i], rms[j, i] = clipped_mean(values[:n])
    return level, rms
