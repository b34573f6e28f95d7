"""Compiled loops that fill pixels from their neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@njit(cache=True)
def predict(
    values: FloatArray, where: IntArray, pixel: IntArray, covariance: FloatArray, nugget: float
) -> float:
    """Predict a pixel from known ones by ordinary kriging.

    Parameters
    ----------
    values, where
        Known pixels: values, shape ``(n,)``, and rows and columns, shape ``(n, 2)``.
    pixel
        Row and column of the pixel to predict.
    covariance
        Covariance of two pixels at a distance, shape ``(k, k)`` in rows and columns between them.
    nugget
        Noise variance of a pixel relative to ``covariance[0, 0]``.

    Returns
    -------
    float
        The best linear unbiased guess.
    """
    n = len(values)
    # The last row and column make the weights add up to 1: the level of the sky is kept.
    matrix = np.ones((n + 1, n + 1))
    target = np.ones(n + 1)
    for a in range(n):
        target[a] = covariance[abs(where[a, 0] - pixel[0]), abs(where[a, 1] - pixel[1])]
        for b in range(n):
            dy, dx = abs(where[a, 0] - where[b, 0]), abs(where[a, 1] - where[b, 1])
            matrix[a, b] = covariance[dy, dx]
        matrix[a, a] += nugget
    matrix[n, n] = 0.0
    weights = np.linalg.solve(matrix, target)
    total = 0.0
    for a in range(n):
        total += weights[a] * values[a]
    return total


@njit(cache=True)
def fill_pass(
    image: FloatArray,
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
        As for `predict`.
    limits
        ``(radius, n_least, nugget)``: reach in pixels, least number of known pixels, and the noise
        as for `predict`.

    Returns
    -------
    numpy.ndarray
        Which of the pixels were predicted, shape ``(n,)``.
    """
    radius, n_least, nugget = limits
    ny, nx = image.shape
    where = np.empty(((2 * radius + 1) ** 2, 2), np.int64)
    values = np.empty(len(where))
    done = np.zeros(len(pixels), np.bool_)
    guesses = np.empty(len(pixels))
    for p in range(len(pixels)):
        y, x = pixels[p]
        n = 0
        for j in range(max(0, y - radius), min(ny, y + radius + 1)):
            for i in range(max(0, x - radius), min(nx, x + radius + 1)):
                if known[j, i]:
                    where[n, 0], where[n, 1], values[n] = j, i, image[j, i]
                    n += 1
        if n >= n_least:
            guesses[p] = predict(values[:n], where[:n], pixels[p], covariance, nugget)
            done[p] = True
    for p in range(len(pixels)):
        if done[p]:
            image[pixels[p, 0], pixels[p, 1]] = guesses[p]
    return done


@njit(cache=True)
def fill_along_rows(image: npt.NDArray[np.float32], hole: BoolArray, level: np.float32) -> None:
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
