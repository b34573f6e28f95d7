"""Compiled loops of the PSF models: drawing splines on pixels, adaptive moments of a stamp."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]


@njit(cache=True)
def spline_weights(fraction: float) -> FloatArray:
    """Evaluate the four cubic B-splines that reach a point, and their derivatives.

    Parameters
    ----------
    fraction
        Distance from the knot below, in ``[0, 1)``.

    Returns
    -------
    numpy.ndarray
        Values and derivatives for the knots at -1, 0, 1, 2, shape ``(2, 4)``.
    """
    f = fraction
    g = 1.0 - f
    weights = np.empty((2, 4))
    weights[0, 0] = g * g * g / 6.0
    weights[0, 1] = (3.0 * f * f * f - 6.0 * f * f + 4.0) / 6.0
    weights[0, 2] = (3.0 * g * g * g - 6.0 * g * g + 4.0) / 6.0
    weights[0, 3] = f * f * f / 6.0
    weights[1, 0] = -g * g / 2.0
    weights[1, 1] = (3.0 * f * f - 4.0 * f) / 2.0
    weights[1, 2] = -(3.0 * g * g - 4.0 * g) / 2.0
    weights[1, 3] = f * f / 2.0
    return weights


@njit(cache=True)
def first_knot(shift: float, half: int, oversampling: int, n_knots: int) -> tuple[int, float]:
    """Find the knot below the first pixel of a stamp.

    Parameters
    ----------
    shift
        Offset of the PSF from the central pixel, in pixels.
    half
        Pixels on either side of the central one.
    oversampling
        Knots a pixel.
    n_knots
        Knots along the axis.

    Returns
    -------
    knot, fraction
        Index of the knot at or below the pixel centre, and the distance from it in knots.
    """
    position = (-half - shift) * oversampling + 0.5 * (n_knots - 1)
    knot = int(np.floor(position))
    return knot, position - knot


@njit(cache=True)
def sample_rows(
    model: FloatArray, weights: FloatArray, knot: int, oversampling: int, out: FloatArray
) -> None:
    """Evaluate a spline surface at the pixel rows of a stamp.

    Parameters
    ----------
    model
        Spline coefficients, shape ``(m, k)``.
    weights
        The four weights along the first axis.
    knot
        Knot below the first row.
    oversampling
        Knots a pixel.
    out
        Result, shape ``(s, k)``.
    """
    n_knots, n_columns = model.shape
    for i in range(out.shape[0]):
        for c in range(n_columns):
            out[i, c] = 0.0
        for k in range(4):
            j = knot + i * oversampling + k - 1
            if 0 <= j < n_knots:
                w = weights[k]
                for c in range(n_columns):
                    out[i, c] += w * model[j, c]


@njit(cache=True)
def sample_columns(
    rows: FloatArray, weights: FloatArray, knot: int, oversampling: int, out: FloatArray
) -> None:
    """Evaluate row-sampled spline coefficients at the pixel columns of a stamp.

    Parameters
    ----------
    rows
        Result of `sample_rows`, shape ``(s, k)``.
    weights
        The four weights along the second axis.
    knot
        Knot below the first column.
    oversampling
        Knots a pixel.
    out
        Result, shape ``(s, s)``.
    """
    n_knots, size = rows.shape[1], out.shape[1]
    for i in range(out.shape[0]):
        row, line = out[i], rows[i]
        row[:] = 0.0
        for k in range(4):
            # Pixels whose knot is in the model: no test of any kind within the loop.
            start = knot + k - 1
            first = max(0, -(start // oversampling))
            last = min(size, (n_knots - 1 - start) // oversampling + 1)
            w, pixels = weights[k], row[first:last]
            knots = line[start + first * oversampling :: oversampling]
            for c in range(len(pixels)):
                pixels[c] += w * knots[c]


@njit(cache=True)
def combine(coefficients: FloatArray, basis: FloatArray, out: FloatArray) -> None:
    """Add up the terms of a model at one position.

    Parameters
    ----------
    coefficients
        Shape ``(n_terms, m, m)``.
    basis
        Value of each term, shape ``(n_terms,)``.
    out
        Result, shape ``(m, m)``.
    """
    for j in range(out.shape[0]):
        row = out[j]
        row[:] = 0.0
        for t in range(coefficients.shape[0]):
            b, line = basis[t], coefficients[t, j]
            for i in range(len(row)):
                row[i] += b * line[i]


@njit(cache=True)
def draw(
    coefficients: FloatArray,
    basis: FloatArray,
    shifts: FloatArray,
    oversampling: int,
    stamps: FloatArray,
) -> None:
    """Draw normalised PSF stamps.

    Parameters
    ----------
    coefficients
        Spline coefficients, shape ``(n_terms, m, m)``.
    basis
        Value of each term at each position, shape ``(n, n_terms)``.
    shifts
        Offset (y, x) of each PSF from its central pixel, shape ``(n, 2)``.
    oversampling
        Knots a pixel.
    stamps
        Result, shape ``(n, 1 or 3, s, s)``: the stamp, and with 3 its derivatives by y and x.
    """
    n, n_planes, size, _ = stamps.shape
    m = coefficients.shape[1]
    half = size // 2
    model = np.empty((m, m))
    rows = np.empty((size, m))
    for p in range(n):
        combine(coefficients, basis[p], model)
        ky, fy = first_knot(shifts[p, 0], half, oversampling, m)
        kx, fx = first_knot(shifts[p, 1], half, oversampling, m)
        wy = spline_weights(fy)
        wx = spline_weights(fx)
        sample_rows(model, wy[0], ky, oversampling, rows)
        sample_columns(rows, wx[0], kx, oversampling, stamps[p, 0])
        if n_planes > 1:
            sample_columns(rows, wx[1], kx, oversampling, stamps[p, 2])
            sample_rows(model, wy[1], ky, oversampling, rows)
            sample_columns(rows, wx[0], kx, oversampling, stamps[p, 1])
        total = stamps[p, 0].sum()
        stamps[p, 0] /= total
        for plane in range(1, n_planes):
            # A shift of the PSF moves the argument of the spline the other way; the
            # normalisation by the sum over the stamp moves with it.
            stamp, slope = stamps[p, plane], stamps[p, plane].sum() / total
            for j in range(size):
                for i in range(size):
                    stamp[j, i] = -oversampling * (stamp[j, i] / total - stamps[p, 0, j, i] * slope)


_REACH2 = 32.0
"""Squared radius, in standard deviations, beyond which the weight of moments counts as zero."""


@njit(cache=True)
def fill_weights(row: FloatArray, weight: FloatArray, dy: float) -> tuple[int, int]:
    """Evaluate an elliptical Gaussian of height 1 along one row.

    Parameters
    ----------
    row
        Result, shape ``(w,)``; only the part that is returned is set.
    weight
        Centre and moments ``(y, x, Myy, Mxx, Mxy)``.
    dy
        Distance of the row from the centre.

    Returns
    -------
    left, right
        First pixel and the one after the last; equal where the weight is 0 all along.
    """
    x, myy, mxx, mxy = weight[1], weight[2], weight[3], weight[4]
    determinant = myy * mxx - mxy * mxy
    width2 = (_REACH2 - dy * dy / myy) * determinant / myy
    if width2 <= 0.0:
        return 0, 0
    top, width = x + mxy / myy * dy, np.sqrt(width2)
    left, right = max(0, int(np.ceil(top - width))), min(len(row), int(np.floor(top + width)) + 1)
    if right <= left:
        return 0, 0
    start = min(max(int(np.floor(top + 0.5)), left), right - 1)
    dx = start - x
    middle = np.exp(-0.5 * (mxx * dy * dy - 2 * mxy * dy * dx + myy * dx * dx) / determinant)
    # The ratio of neighbouring weights changes by one factor: no exponential a pixel.
    half = np.exp(-0.5 * myy / determinant)
    towards = np.exp((mxy * dy - myy * dx) / determinant)
    w, ratio = middle, towards * half
    for i in range(start, right):
        row[i] = w
        w *= ratio
        ratio *= half * half
    ratio = half / towards
    w = middle * ratio
    for i in range(start - 1, left - 1, -1):
        row[i] = w
        ratio *= half * half
        w *= ratio
    return left, right


@njit(cache=True)
def weighted_sums(
    stamp: FloatArray, good: npt.NDArray[np.bool_], weight: FloatArray, sums: FloatArray
) -> None:
    """Sum a source under an elliptical Gaussian weight of height 1.

    Parameters
    ----------
    stamp
        Pixel values without background, shape ``(h, w)``.
    good
        Pixels to use, shape ``(h, w)``.
    weight
        Centre and moments ``(y, x, Myy, Mxx, Mxy)`` of the weight.
    sums
        Result: squared weight, flux, y, x, yy, xx, xy relative to the centre, shape ``(7,)``.
    """
    sums[:] = 0.0
    row = np.empty(stamp.shape[1])
    for j in range(stamp.shape[0]):
        dy = j - weight[0]
        left, right = fill_weights(row, weight, dy)
        flux, first, second, square = 0.0, 0.0, 0.0, 0.0
        for i in range(left, right):
            if good[j, i]:
                dx = i - weight[1]
                v = row[i] * stamp[j, i]
                square += row[i] * row[i]
                flux += v
                first += v * dx
                second += v * dx * dx
        sums[0] += square
        sums[1] += flux
        sums[2] += flux * dy
        sums[3] += first
        sums[4] += flux * dy * dy
        sums[5] += second
        sums[6] += first * dy


@njit(cache=True)
def adaptive_moments(
    stamp: FloatArray, good: npt.NDArray[np.bool_], start: FloatArray, tolerance: float
) -> FloatArray:
    """Find the elliptical Gaussian weight that matches the weighted moments of a source.

    Bernstein & Jarvis 2002 (AJ 123, 583), section 3; Hirata & Seljak 2003 (MNRAS 343, 459).

    Parameters
    ----------
    stamp
        Pixel values without background, shape ``(h, w)``.
    good
        Pixels to use, shape ``(h, w)``.
    start
        First guess ``(y, x, Myy, Mxx)`` in stamp pixels and pixels squared.
    tolerance
        Relative change of the moments at which to stop.

    Returns
    -------
    numpy.ndarray
        ``(y, x, Myy, Mxx, Mxy, flux, converged)``; ``flux`` is that of the matched Gaussian.
    """
    largest = 0.25 * float(min(stamp.shape[0], stamp.shape[1])) ** 2
    weight = np.zeros(7)
    weight[:4] = start
    sums = np.empty(7)
    old = np.empty(5)
    for _ in range(100):
        old[:] = weight[:5]
        determinant = old[2] * old[3] - old[4] * old[4]
        size = old[2] + old[3]
        if not (determinant > 0.01 and old[2] > 0.05 and old[3] > 0.05 and size < largest):
            break
        weighted_sums(stamp, good, weight, sums)
        if not sums[1] > 0.0:
            break
        dy, dx = sums[2] / sums[1], sums[3] / sums[1]
        # Under a weight of its own shape a Gaussian shows half its offset and half its moments.
        weight[0] += 2.0 * dy
        weight[1] += 2.0 * dx
        weight[2] = 2.0 * (sums[4] / sums[1] - dy * dy)
        weight[3] = 2.0 * (sums[5] / sums[1] - dx * dx)
        weight[4] = 2.0 * (sums[6] / sums[1] - dy * dx)
        if not (abs(weight[0] - start[0]) < 5.0 and abs(weight[1] - start[1]) < 5.0):
            break
        if np.abs(weight[:5] - old).sum() < tolerance * size:
            weight[5] = 2.0 * np.pi * np.sqrt(determinant) * sums[1] / sums[0]
            weight[6] = 1.0
            break
    return weight


@njit(cache=True)
def moments_of_stamps(stamps: FloatArray, start: FloatArray, tolerance: float) -> FloatArray:
    """Find the adaptive moments of many noise-free stamps.

    Parameters
    ----------
    stamps
        Shape ``(n, s, s)``.
    start, tolerance
        As of `adaptive_moments`, for all of them.

    Returns
    -------
    numpy.ndarray
        Its results, shape ``(n, 7)``.
    """
    good = np.ones(stamps.shape[1:], np.bool_)
    found = np.zeros((len(stamps), 7))
    for k in range(len(stamps)):
        found[k] = adaptive_moments(stamps[k], good, start, tolerance)
    return found
