"""Compiled loops over stacks of warps: robust mean and weighted mean of each pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
Stack = npt.NDArray[np.float32]


@njit(cache=True)
def _median_of_first(values: FloatArray, n: int) -> float:
    """Sort the first n values in place, by insertion as they are few, and return their median."""
    for i in range(1, n):
        value, j = values[i], i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value
    return float(0.5 * (values[(n - 1) // 2] + values[n // 2]))


@njit(cache=True, error_model="numpy")
def robust_mean(
    planes: tuple[Stack, npt.NDArray[np.int32], Stack],
    excluded: np.int32,
    n_sigma: float,
    mean: npt.NDArray[np.float32],
) -> None:
    """Average each pixel of a stack without what is far from its median.

    The scale is the larger of the median noise and of the scatter (1.4826 MAD): noise alone would
    clip stars where the images differ, scatter alone misjudges a few values.

    Parameters
    ----------
    planes
        Image, mask and variance, shape ``(n, ny, nx)``; NaN of an image is left out.
    excluded
        Bits of the mask whose pixels are left out.
    n_sigma
        Largest distance from the median that is kept.
    mean
        Receives the means, shape ``(ny, nx)``; NaN without values.
    """
    image, mask, variance = planes
    n_images = image.shape[0]
    values, work = np.empty(n_images), np.empty(n_images)
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            n = 0
            for i in range(n_images):
                if np.isfinite(image[i, y, x]) and mask[i, y, x] & excluded == 0:
                    values[n], work[n] = image[i, y, x], variance[i, y, x]
                    n += 1
            if n == 0:
                mean[y, x] = np.nan
                continue
            noise = np.sqrt(_median_of_first(work, n))
            middle = _median_of_first(values, n)
            for i in range(n):
                work[i] = abs(values[i] - middle)
            limit = n_sigma * max(noise, 1.4826 * _median_of_first(work, n))
            total, n_kept = 0.0, 0
            for i in range(n):
                if abs(values[i] - middle) <= limit:
                    total += values[i]
                    n_kept += 1
            mean[y, x] = total / n_kept


@njit(cache=True)
def weighted_mean(
    planes: tuple[Stack, npt.NDArray[np.int32], Stack],
    use: npt.NDArray[np.bool_],
    weights: FloatArray,
    out: tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.float32]],
    n_image: npt.NDArray[np.int32],
) -> None:
    """Average each pixel of a stack with one weight for each image.

    Parameters
    ----------
    planes
        Image, mask and variance, shape ``(n, ny, nx)``.
    use
        Which values to average, shape ``(n, ny, nx)``.
    weights
        Weight of each image, shape ``(n,)``.
    out
        Receive the mean, the mask of the used values, and the variance of the mean, shape
        ``(ny, nx)``; untouched where nothing is used.
    n_image
        Receives the number of values used, shape ``(ny, nx)``.
    """
    image, mask, variance = planes
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            total, value, spread, bits, n = 0.0, 0.0, 0.0, 0, 0
            for i in range(image.shape[0]):
                if use[i, y, x]:
                    weight = weights[i]
                    total += weight
                    value += weight * image[i, y, x]
                    spread += weight * weight * variance[i, y, x]
                    bits |= mask[i, y, x]
                    n += 1
            if total > 0.0:
                out[0][y, x] = value / total
                out[1][y, x] = bits
                out[2][y, x] = spread / (total * total)
                n_image[y, x] = n
