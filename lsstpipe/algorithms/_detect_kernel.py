"""Compiled loops of detection: neighbours of bright sources, and what a mask leaves of a filter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@njit(cache=True)
def keep_peaks(
    peaks: IntArray,
    filtered: FloatImage,
    filtered_variance: FloatImage,
    profile: FloatArray,
    limits: tuple[float, float],
) -> BoolArray:
    """Keep the peaks that stand out after the brighter ones near them are taken off.

    Parameters
    ----------
    peaks
        Pixel (y, x) of each peak, brightest first, shape ``(n, 2)``.
    filtered, filtered_variance
        Image after the matched filter, and its variance.
    profile
        What the filter makes of a point source, 1 at its centre, shape ``(p, p)``.
    limits
        ``(n_sigma, tolerance)``: least significance, and the relative error of the profile.

    Returns
    -------
    numpy.ndarray
        True for the peaks to keep, shape ``(n,)``.
    """
    ny, nx = filtered.shape
    half = profile.shape[0] // 2
    wings = np.zeros(filtered.shape, np.float32)
    kept = np.zeros(len(peaks), np.bool_)
    for p in range(len(peaks)):
        y, x = peaks[p]
        wing = wings[y, x]
        amplitude = filtered[y, x] - wing
        noise = np.sqrt(filtered_variance[y, x] + (limits[1] * wing) ** 2)
        if not amplitude > limits[0] * noise:
            continue
        kept[p] = True
        for j in range(max(0, y - half), min(ny, y + half + 1)):
            for i in range(max(0, x - half), min(nx, x + half + 1)):
                wings[j, i] += amplitude * profile[j - y + half, i - x + half]
    return kept


@njit(cache=True)
def usable_share(usable: BoolArray, kernel: FloatArray) -> FloatImage:
    """Convolve a mask of mostly usable pixels with a kernel.

    Parameters
    ----------
    usable
        Pixels that count, shape ``(ny, nx)``; those beyond the edge do not.
    kernel
        Shape ``(s, s)`` with s odd.

    Returns
    -------
    numpy.ndarray
        Sum of the kernel over usable pixels, shape ``(ny, nx)``.
    """
    ny, nx = usable.shape
    size = kernel.shape[0]
    half = size // 2
    sums = np.zeros((size + 1, size + 1))
    for j in range(size):
        for i in range(size):
            sums[j + 1, i + 1] = sums[j, i + 1] + sums[j + 1, i] - sums[j, i] + kernel[j, i]
    share = np.empty((ny, nx), np.float32)
    for y in range(ny):
        # Pixel y + d meets element half - d of the kernel.
        j0, j1 = max(0, half - (ny - 1 - y)), min(size, half + y + 1)
        for x in range(nx):
            i0, i1 = max(0, half - (nx - 1 - x)), min(size, half + x + 1)
            share[y, x] = sums[j1, i1] - sums[j0, i1] - sums[j1, i0] + sums[j0, i0]
    for y, x in np.argwhere(~usable):
        for j in range(max(0, y - half), min(ny, y + half + 1)):
            for i in range(max(0, x - half), min(nx, x + half + 1)):
                share[j, i] -= kernel[j - y + half, i - x + half]
    return share
