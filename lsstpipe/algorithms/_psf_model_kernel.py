"""Compiled loops of the PSF fit: the normal equations without their matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from lsstpipe.image._psf_kernel import (
    first_knot,
    sample_columns,
    sample_rows,
    spline_weights,
)

FloatArray = npt.NDArray[np.float64]


@njit(cache=True)
def spread(
    stamp: FloatArray,
    shift: FloatArray,
    oversampling: int,
    rows: FloatArray,
    out: FloatArray,
) -> None:
    """Apply the transpose of drawing: spread pixel values over the knots that they depend on.

    Parameters
    ----------
    stamp
        Pixel values, shape ``(s, s)``.
    shift
        Offset (y, x) of the PSF from the central pixel, shape ``(2,)``.
    oversampling
        Knots a pixel.
    rows
        Work space, shape ``(s, m)``.
    out
        Result, shape ``(m, m)``.
    """
    size, m = stamp.shape[0], out.shape[0]
    ky, fy = first_knot(shift[0], size // 2, oversampling, m)
    kx, fx = first_knot(shift[1], size // 2, oversampling, m)
    wy = spline_weights(fy)
    wx = spline_weights(fx)
    rows[:] = 0.0
    out[:] = 0.0
    for i in range(size):
        for c in range(size):
            for k in range(4):
                j = kx + c * oversampling + k - 1
                if 0 <= j < m:
                    rows[i, j] += wx[0, k] * stamp[i, c]
    for i in range(size):
        for k in range(4):
            j = ky + i * oversampling + k - 1
            if 0 <= j < m:
                w = wy[0, k]
                for c in range(m):
                    out[j, c] += w * rows[i, c]


@njit(cache=True)
def sample_planes(
    planes: FloatArray, shifts: FloatArray, oversampling: int, size: int
) -> FloatArray:
    """Evaluate several spline surfaces on the pixels of each star.

    Parameters
    ----------
    planes
        Spline coefficients, shape ``(k, m, m)``.
    shifts
        Offset (y, x) of each star from its central pixel, shape ``(n, 2)``.
    oversampling
        Knots a pixel.
    size
        Side of a stamp in pixels.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, k, size, size)``.
    """
    n, (k, m, _) = len(shifts), planes.shape
    rows = np.empty((size, m))
    result = np.empty((n, k, size, size))
    for p in range(n):
        ky, fy = first_knot(shifts[p, 0], size // 2, oversampling, m)
        kx, fx = first_knot(shifts[p, 1], size // 2, oversampling, m)
        wy, wx = spline_weights(fy)[0], spline_weights(fx)[0]
        for t in range(k):
            sample_rows(planes[t], wy, ky, oversampling, rows)
            sample_columns(rows, wx, kx, oversampling, result[p, t])
    return result


@njit(cache=True)
def mean_gradient(
    mean: FloatArray,
    shifts: FloatArray,
    oversampling: int,
    stars: tuple[FloatArray, FloatArray, FloatArray],
) -> FloatArray:
    """Compute ``A^T W (d - A c)`` of a PSF that all stars share, their fluxes and places left free.

    Parameters
    ----------
    mean
        Spline coefficients c, shape ``(m, m)``.
    shifts
        Offset (y, x) of each star from its central pixel, shape ``(n, 2)``.
    oversampling
        Knots a pixel.
    stars
        Pixel values d over the flux and weights W times the flux squared, ``(n, s, s)`` each; what
        flux and place of each star may take, orthonormal under its weights, ``(n, 3, s, s)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(m, m)``.
    """
    data, weight, free = stars
    n, size, _ = data.shape
    m = len(mean)
    rows, stamp, part = np.empty((size, m)), np.empty((size, size)), np.empty((m, m))
    result = np.zeros((m, m))
    for p in range(n):
        ky, fy = first_knot(shifts[p, 0], size // 2, oversampling, m)
        kx, fx = first_knot(shifts[p, 1], size // 2, oversampling, m)
        sample_rows(mean, spline_weights(fy)[0], ky, oversampling, rows)
        sample_columns(rows, spline_weights(fx)[0], kx, oversampling, stamp)
        a, b, c = 0.0, 0.0, 0.0
        for i in range(size):
            for j in range(size):
                value = data[p, i, j] - stamp[i, j]
                stamp[i, j] = value
                value *= weight[p, i, j]
                a += value * free[p, 0, i, j]
                b += value * free[p, 1, i, j]
                c += value * free[p, 2, i, j]
        for i in range(size):
            for j in range(size):
                taken = a * free[p, 0, i, j] + b * free[p, 1, i, j] + c * free[p, 2, i, j]
                stamp[i, j] = weight[p, i, j] * (stamp[i, j] - taken)
        spread(stamp, shifts[p], oversampling, rows, part)
        result += part
    return result


@njit(cache=True)
def solve_stars(stamps: FloatArray, data: FloatArray, weight: FloatArray) -> FloatArray:
    """Fit flux and shift of isolated stars.

    Parameters
    ----------
    stamps
        PSF and its derivatives by y and x at each star, shape ``(n, 3, s, s)``.
    data, weight
        Pixel values and weights, shape ``(n, s, s)``.

    Returns
    -------
    numpy.ndarray
        Flux and shift in y and x, shape ``(n, 3)``; NaN where there is no solution.
    """
    n, _, size, _ = stamps.shape
    result = np.full((n, 3), np.nan)
    for p in range(n):
        matrix = np.zeros((3, 3))
        right = np.zeros(3)
        for i in range(size):
            for c in range(size):
                w = weight[p, i, c]
                for a in range(3):
                    right[a] += stamps[p, a, i, c] * w * data[p, i, c]
                    for b in range(3):
                        matrix[a, b] += stamps[p, a, i, c] * w * stamps[p, b, i, c]
        if np.linalg.det(matrix) > 1e-12 * matrix[0, 0] * matrix[1, 1] * matrix[2, 2]:
            solution = np.linalg.solve(matrix, right)
            if solution[0] > 0.0:
                result[p, 0] = solution[0]
                result[p, 1] = solution[1] / solution[0]
                result[p, 2] = solution[2] / solution[0]
    return result
