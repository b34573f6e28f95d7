"""Compiled loops of the PSF fit: the normal equations without their matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from lsstpipe.image._psf_kernel import (
    combine,
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
def gradient(
    coefficients: FloatArray,
    basis: FloatArray,
    shifts: FloatArray,
    oversampling: int,
    stars: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """Compute ``A^T W (d - A c)``, the downhill direction of chi squared.

    Parameters
    ----------
    coefficients
        Spline coefficients c, shape ``(n_terms, m, m)``.
    basis
        Value of each polynomial term at each star, shape ``(n, n_terms)``.
    shifts
        Offset (y, x) of each star from its central pixel, shape ``(n, 2)``.
    oversampling
        Knots a pixel.
    stars
        Pixel values d over the flux, and weights W times the flux squared, ``(n, s, s)`` each.

    Returns
    -------
    numpy.ndarray
        Shape ``(n_terms, m, m)``.
    """
    data, weight = stars
    n, size, _ = data.shape
    n_terms, m, _ = coefficients.shape
    model = np.empty((m, m))
    rows = np.empty((size, m))
    stamp = np.empty((size, size))
    result = np.zeros(coefficients.shape)
    for p in range(n):
        combine(coefficients, basis[p], model)
        ky, fy = first_knot(shifts[p, 0], size // 2, oversampling, m)
        kx, fx = first_knot(shifts[p, 1], size // 2, oversampling, m)
        sample_rows(model, spline_weights(fy)[0], ky, oversampling, rows)
        sample_columns(rows, spline_weights(fx)[0], kx, oversampling, stamp)
        for i in range(size):
            for c in range(size):
                stamp[i, c] = weight[p, i, c] * (data[p, i, c] - stamp[i, c])
        spread(stamp, shifts[p], oversampling, rows, model)
        for t in range(n_terms):
            b = basis[p, t]
            for i in range(m):
                for c in range(m):
                    result[t, i, c] += b * model[i, c]
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
