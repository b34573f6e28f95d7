"""Compiled loops of the detection: shares of usable pixels, maxima, bumps on wings."""

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
def local_maxima(significance: FloatImage, limit: float) -> IntArray:
    """Find the pixels that none of their eight neighbours exceeds.

    Parameters
    ----------
    significance
        The image, shape ``(ny, nx)``.
    limit
        Only higher pixels count.

    Returns
    -------
    numpy.ndarray
        Row and column of each, shape ``(n, 2)``, by row.
    """
    ny, nx = significance.shape
    found = [(0, 0) for _ in range(0)]
    for y in range(ny):
        for x in range(nx):
            value = significance[y, x]
            if not value > limit:
                continue
            is_highest = True
            for j in range(max(0, y - 1), min(ny, y + 2)):
                for i in range(max(0, x - 1), min(nx, x + 2)):
                    is_highest &= not significance[j, i] > value
            if is_highest:
                found.append((y, x))
    peaks = np.empty((len(found), 2), np.int64)
    for k in range(len(found)):
        peaks[k, 0], peaks[k, 1] = found[k]
    return peaks


@njit(cache=True)
def whole_share(shape: tuple[int, int], kernel: FloatImage) -> FloatImage:
    """Sum the kernel over the pixels of an image around each pixel; there are none beyond the edge.

    Parameters
    ----------
    shape
        Of the image.
    kernel
        Convolution kernel, shape ``(s, s)`` with s odd.
    """
    ny, nx = shape
    size = kernel.shape[0]
    half = size // 2
    table = np.zeros((size + 1, size + 1))
    for j in range(size):
        for i in range(size):
            table[j + 1, i + 1] = kernel[j, i] + table[j, i + 1] + table[j + 1, i] - table[j, i]
    share = np.full((ny, nx), np.float32(table[size, size]), np.float32)
    for y in range(ny):
        # The element [j, i] of the kernel takes the pixel (y + half - j, x + half - i).
        low, high = max(0, y + half - ny + 1), min(size, y + half + 1)
        is_whole = low == 0 and high == size
        for x in range(nx):
            if is_whole and half <= x < nx - half:
                continue
            left, right = max(0, x + half - nx + 1), min(size, x + half + 1)
            share[y, x] = (
                table[high, right] - table[low, right] - table[high, left] + table[low, left]
            )
    return share


@njit(cache=True)
def usable_share(usable: BoolArray, kernel: FloatImage) -> FloatImage:
    """Sum the kernel over the usable pixels around each pixel.

    Parameters
    ----------
    usable
        Which pixels count, shape ``(ny, nx)``.
    kernel
        Convolution kernel, shape ``(s, s)`` with s odd.
    """
    ny, nx = usable.shape
    half = kernel.shape[0] // 2
    share = whole_share((ny, nx), kernel)
    for y in range(ny):
        for x in range(nx):
            if usable[y, x]:
                continue
            for j in range(max(0, y - half), min(ny, y + half + 1)):
                for i in range(max(0, x - half), min(nx, x + half + 1)):
                    share[j, i] -= kernel[j - y + half, i - x + half]
    return share


@njit(cache=True)
def finish_variance(
    variance: FloatImage, share: FloatImage, level: np.float32, least: np.float32
) -> None:
    """Add to the filtered deviations of the variance from its level what the level gives, in place.

    Parameters
    ----------
    variance
        What the filter makes of the deviations, shape ``(ny, nx)``; changed.
    share
        What it makes of 1 in each usable pixel.
    level
        The level.
    least
        Share up to which the variance is infinite.
    """
    for y in range(variance.shape[0]):
        for x in range(variance.shape[1]):
            value = variance[y, x] + share[y, x] * level
            known = (share[y, x] > least) & (value > 0)
            variance[y, x] = value if known else np.float32(np.inf)


@njit(cache=True)
def divide_by_root(image: FloatImage, variance: FloatImage) -> FloatImage:
    """Divide by the square root of a positive variance.

    Parameters
    ----------
    image, variance
        Shape ``(ny, nx)``.
    """
    result = np.empty(image.shape, np.float32)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            result[y, x] = image[y, x] / np.sqrt(variance[y, x])
    return result
