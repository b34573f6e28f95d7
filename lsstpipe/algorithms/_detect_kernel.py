"""Compiled loop that tells neighbours of bright sources from bumps on their wings."""

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
