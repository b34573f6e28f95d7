"""Compiled loops of the cosmic ray finder."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_DY = (0, 1, 1, 1)
_DX = (1, 0, 1, -1)


@njit(cache=True)
def pair_test(
    work: FloatImage,
    variance: FloatImage,
    usable: BoolArray,
    ratios: FloatArray,
    limits: FloatArray,
    pixel: tuple[int, int],
) -> tuple[bool, float]:
    """Test one pixel against its four pairs of opposite neighbours.

    Parameters
    ----------
    work
        Pixel values without sky; pixels found before are replaced.
    variance
        Variance of each pixel.
    usable
        Pixels that may be compared with.
    ratios
        Least value a star has at the pair, as a share of its centre: row, column, two diagonals.
    limits
        ``(n_sigma, slack)``: excess over a pair, and how many deviations the values may be moved in
        favour of a star.
    pixel
        Row and column of the pixel, not at the edge.

    Returns
    -------
    is_hit, replacement
        Whether it is sharper than the PSF, and the smallest mean of a pair.
    """
    y, x = pixel
    value, error = work[y, x], np.sqrt(variance[y, x])
    replacement = value
    above = False
    sharper = False
    for k in range(4):
        ya, xa, yb, xb = y + _DY[k], x + _DX[k], y - _DY[k], x - _DX[k]
        if usable[ya, xa] and usable[yb, xb]:
            mean = 0.5 * (work[ya, xa] + work[yb, xb])
            spread = 0.5 * np.sqrt(variance[ya, xa] + variance[yb, xb])
            above = above or value > mean + limits[0] * error
            sharper = sharper or (
                ratios[k] * (value - limits[1] * error) > mean + limits[1] * spread
            )
            replacement = min(replacement, mean)
    return above and sharper, replacement


@njit(cache=True)
def first_pass(
    work: FloatImage,
    variance: FloatImage,
    usable: BoolArray,
    ratios: FloatArray,
    limits: FloatArray,
    found: BoolArray,
) -> None:
    """Test every pixel, replacing hits as they are found.

    Parameters
    ----------
    work, variance, usable, ratios, limits
        As for `pair_test`; ``work`` is changed.
    found
        Set where a pixel is hit.
    """
    square = np.float32(limits[0] ** 2)
    for y in range(1, work.shape[0] - 1):
        for x in range(1, work.shape[1] - 1):
            value = work[y, x]
            # Hardly a pixel is significant: one test without a square root sorts out the rest.
            if value * abs(value) > square * variance[y, x] and usable[y, x]:
                hit, replacement = pair_test(work, variance, usable, ratios, limits, (y, x))
                if hit:
                    found[y, x] = True
                    work[y, x] = replacement


@njit(cache=True)
def growth_pass(
    work: FloatImage,
    variance: FloatImage,
    usable: BoolArray,
    ratios: FloatArray,
    limits: FloatArray,
    hits: tuple[BoolArray, IntArray],
) -> int:
    """Test the neighbours of the hits once.

    Parameters
    ----------
    work, variance, usable, ratios, limits
        As for `first_pass`.
    hits
        Where pixels are hit, changed, and rows and columns of those known so far, shape ``(n, 2)``.

    Returns
    -------
    int
        Number of pixels added.
    """
    found, pixels = hits
    square = limits[0] ** 2
    n_added = 0
    for k in range(len(pixels)):
        for y in range(max(1, pixels[k, 0] - 1), min(work.shape[0] - 1, pixels[k, 0] + 2)):
            for x in range(max(1, pixels[k, 1] - 1), min(work.shape[1] - 1, pixels[k, 1] + 2)):
                value = work[y, x]
                if found[y, x] or not usable[y, x]:
                    continue
                if value * abs(value) > square * variance[y, x]:
                    hit, replacement = pair_test(work, variance, usable, ratios, limits, (y, x))
                    if hit:
                        found[y, x] = True
                        work[y, x] = replacement
                        n_added += 1
    return n_added


@njit(cache=True)
def drop_faint(found: BoolArray, pixels: IntArray, image: FloatImage, min_sum: float) -> None:
    """Give up the connected groups of hits, corners too, whose sum does not reach a limit.

    Parameters
    ----------
    found
        Where pixels are hit, shape ``(ny, nx)``; changed.
    pixels
        Rows and columns of the hits, shape ``(n, 2)``.
    image
        Pixel values.
    min_sum
        The limit.
    """
    ny, nx = found.shape
    waiting = found.copy()
    group = np.empty((len(pixels), 2), np.int64)
    for k in range(len(pixels)):
        if not waiting[pixels[k, 0], pixels[k, 1]]:
            continue
        waiting[pixels[k, 0], pixels[k, 1]] = False
        group[0] = pixels[k]
        n, n_done, total = 1, 0, 0.0
        while n_done < n:
            y, x = group[n_done]
            n_done += 1
            total += image[y, x]
            for j in range(max(0, y - 1), min(ny, y + 2)):
                for i in range(max(0, x - 1), min(nx, x + 2)):
                    if waiting[j, i]:
                        waiting[j, i] = False
                        group[n, 0], group[n, 1] = j, i
                        n += 1
        if not total >= min_sum:
            for m in range(n):
                found[group[m, 0], group[m, 1]] = False
