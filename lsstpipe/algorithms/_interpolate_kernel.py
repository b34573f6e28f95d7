"""Compiled loops that fill pixels from their neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatImage = npt.NDArray[np.float32]


@njit(cache=True)
def kriging_weights(where: IntArray, covariance: FloatArray, nugget: float) -> FloatArray:
    """Find the weights with which known pixels predict one among them, by ordinary kriging.

    Parameters
    ----------
    where
        Rows and columns of the known pixels from the one to predict, shape ``(n, 2)``.
    covariance
        Covariance of two pixels at a distance, shape ``(k, k)`` in rows and columns between them.
    nugget
        Noise variance of a pixel relative to ``covariance[0, 0]``.

    Returns
    -------
    numpy.ndarray
        Weights of the best linear unbiased guess, shape ``(n,)``.
    """
    n = len(where)
    # The last row and column make the weights add up to 1: the level of the sky is kept.
    matrix = np.ones((n + 1, n + 1))
    target = np.ones(n + 1)
    for a in range(n):
        target[a] = covariance[abs(where[a, 0]), abs(where[a, 1])]
        for b in range(n):
            dy, dx = abs(where[a, 0] - where[b, 0]), abs(where[a, 1] - where[b, 1])
            matrix[a, b] = covariance[dy, dx]
        matrix[a, a] += nugget
    matrix[n, n] = 0.0
    weights = np.empty(n)
    weights[:] = np.linalg.solve(matrix, target)[:n]
    return weights


@njit(cache=True)
def known_pattern(known: BoolArray, pixel: IntArray, radius: int) -> np.int64:
    """Write which pixels of a square window are known as the bits of a number, row by row.

    Parameters
    ----------
    known
        Pixels with a value, shape ``(ny, nx)``; beyond the edge there are none.
    pixel
        Row and column of the middle.
    radius
        Pixels on either side of it, at most 3.
    """
    pattern, bit = np.int64(0), np.int64(1)
    for j in range(pixel[0] - radius, pixel[0] + radius + 1):
        for i in range(pixel[1] - radius, pixel[1] + radius + 1):
            if 0 <= j < known.shape[0] and 0 <= i < known.shape[1] and known[j, i]:
                pattern |= bit
            bit <<= 1
    return pattern


@njit(cache=True)
def read_pattern(pattern: np.int64, radius: int, where: IntArray) -> int:
    """Turn the number of `known_pattern` back into pixels.

    Parameters
    ----------
    pattern
        The number.
    radius
        Pixels on either side of the middle.
    where
        Receives rows and columns from the middle, shape ``((2 * radius + 1)**2, 2)``.

    Returns
    -------
    int
        How many there are.
    """
    n = 0
    for k in range(len(where)):
        if (pattern >> k) & 1:
            where[n, 0], where[n, 1] = k // (2 * radius + 1) - radius, k % (2 * radius + 1) - radius
            n += 1
    return n


@njit(cache=True)
def fill_pass(
    image: FloatImage,
    known: BoolArray,
    pixels: IntArray,
    covariance: FloatArray,
    limits: tuple[int, int, float],
) -> BoolArray:
    """Predict pixels from known ones near them.

    Parameters
    ----------
    image
        Pixel values; predicted pixels are written.
    known
        Pixels to predict from.
    pixels
        Pixels to predict, shape ``(n, 2)``.
    covariance
        As for `kriging_weights`.
    limits
        ``(radius, n_least, nugget)``: reach in pixels, at most 3, least number of known pixels, and
        the noise as for `kriging_weights`.

    Returns
    -------
    numpy.ndarray
        Which of the pixels were predicted, shape ``(n,)``.
    """
    radius, n_least, nugget = limits
    done = np.zeros(len(pixels), np.bool_)
    guesses = np.empty(len(pixels))
    patterns = np.empty(len(pixels), np.int64)
    for p in range(len(pixels)):
        patterns[p] = known_pattern(known, pixels[p], radius)
    # Along columns and in small holes the same pattern comes again and again, with its weights.
    where = np.empty(((2 * radius + 1) ** 2, 2), np.int64)
    weights = np.empty(0)
    n, last = 0, np.int64(-1)
    for p in np.argsort(patterns, kind="mergesort"):
        if patterns[p] != last:
            last = patterns[p]
            n = read_pattern(last, radius, where)
            if n >= n_least:
                weights = kriging_weights(where[:n], covariance, nugget)
        if n >= n_least:
            total = 0.0
            for a in range(n):
                total += weights[a] * image[pixels[p, 0] + where[a, 0], pixels[p, 1] + where[a, 1]]
            guesses[p] = total
            done[p] = True
    for p in range(len(pixels)):
        if done[p]:
            image[pixels[p, 0], pixels[p, 1]] = guesses[p]
    return done


@njit(cache=True)
def fill_along_rows(image: FloatImage, hole: BoolArray, level: np.float32) -> None:
    """Draw a line across each hole of a row, from the good pixel before it to that behind it.

    Parameters
    ----------
    image
        Pixel values, shape ``(ny, nx)``; changed in place.
    hole
        Pixels to fill.
    level
        Value of a row without a good pixel.
    """
    ny, nx = image.shape
    for y in range(ny):
        last = -1
        x = 0
        while x < nx:
            if not hole[y, x]:
                last = x
                x += 1
                continue
            end = x
            while end < nx and hole[y, end]:
                end += 1
            behind = image[y, end] if end < nx else (image[y, last] if last >= 0 else level)
            before = image[y, last] if last >= 0 else behind
            for i in range(x, end):
                share = np.float32(i - x + 1) / np.float32(end - x + 1)
                image[y, i] = before + share * (behind - before)
            x = end


@njit(cache=True)
def find_rim(known: BoolArray, pixels: IntArray) -> BoolArray:
    """Find which of the unknown pixels touch a known one, corners included.

    Parameters
    ----------
    known
        Pixels with a value, shape ``(ny, nx)``.
    pixels
        Rows and columns of unknown pixels, shape ``(n, 2)``.

    Returns
    -------
    numpy.ndarray
        True for those on the rim, shape ``(n,)``.
    """
    ny, nx = known.shape
    rim = np.zeros(len(pixels), np.bool_)
    for p in range(len(pixels)):
        y, x = pixels[p]
        for j in range(max(0, y - 1), min(ny, y + 2)):
            for i in range(max(0, x - 1), min(nx, x + 2)):
                rim[p] |= known[j, i]
    return rim
