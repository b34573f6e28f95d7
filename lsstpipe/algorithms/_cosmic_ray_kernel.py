"""Compiled loops of the cosmic ray finder."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_DY = (0, 1, 1, 1)
_DX = (1, 0, 1, -1)


@njit(cache=True)
def pair_test(
    work: FloatImage,
    sigma: FloatImage,
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
    sigma
        Standard deviation of each pixel.
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
    value, error = work[y, x], sigma[y, x]
    replacement = value
    above = False
    sharper = False
    for k in range(4):
        ya, xa, yb, xb = y + _DY[k], x + _DX[k], y - _DY[k], x - _DX[k]
        if usable[ya, xa] and usable[yb, xb]:
            mean = 0.5 * (work[ya, xa] + work[yb, xb])
            spread = 0.5 * np.sqrt(sigma[ya, xa] ** 2 + sigma[yb, xb] ** 2)
            above = above or value > mean + limits[0] * error
            sharper = sharper or (
                ratios[k] * (value - limits[1] * error) > mean + limits[1] * spread
            )
            replacement = min(replacement, mean)
    return above and sharper, replacement


@njit(cache=True)
def first_pass(
    work: FloatImage,
    sigma: FloatImage,
    usable: BoolArray,
    ratios: FloatArray,
    limits: FloatArray,
    found: BoolArray,
) -> None:
    """Test every pixel, replacing hits as they are found.

    Parameters
    ----------
    work, sigma, usable, ratios, limits
        As for `pair_test`; ``work`` is changed.
    found
        Set where a pixel is hit.
    """
    for y in range(1, work.shape[0] - 1):
        for x in range(1, work.shape[1] - 1):
            if usable[y, x] and work[y, x] > limits[0] * sigma[y, x]:
                hit, replacement = pair_test(work, sigma, usable, ratios, limits, (y, x))
                if hit:
                    found[y, x] = True
                    work[y, x] = replacement


@njit(cache=True)
def growth_pass(
    work: FloatImage,
    sigma: FloatImage,
    usable: BoolArray,
    ratios: FloatArray,
    limits: FloatArray,
    found: BoolArray,
) -> int:
    """Test the neighbours of the hits once.

    Parameters
    ----------
    work, sigma, usable, ratios, limits, found
        As for `first_pass`.

    Returns
    -------
    int
        Number of pixels added.
    """
    ys, xs = np.nonzero(found)
    n_added = 0
    for k in range(len(ys)):
        for y in range(max(1, ys[k] - 1), min(work.shape[0] - 1, ys[k] + 2)):
            for x in range(max(1, xs[k] - 1), min(work.shape[1] - 1, xs[k] + 2)):
                if usable[y, x] and not found[y, x] and work[y, x] > limits[0] * sigma[y, x]:
                    hit, replacement = pair_test(work, sigma, usable, ratios, limits, (y, x))
                    if hit:
                        found[y, x] = True
                        work[y, x] = replacement
                        n_added += 1
    return n_added
