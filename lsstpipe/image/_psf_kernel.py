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
    n_knots = rows.shape[1]
    for i in range(out.shape[0]):
        for c in range(out.shape[1]):
            total = 0.0
            for k in range(4):
                j = knot + c * oversampling + k - 1
                if 0 <= j < n_knots:
                    total += weights[k] * rows[i, j]
            out[i, c] = total


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
    out[:] = 0.0
    for t in range(coefficients.shape[0]):
        b = basis[t]
        if b != 0.0:
            for j in range(out.shape[0]):
                for i in range(out.shape[1]):
                    out[j, i] += b * coefficients[t, j, i]


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
        for plane in range(n_planes):
            sample_rows(model, wy[1 if plane == 1 else 0], ky, oversampling, rows)
            sample_columns(rows, wx[1 if plane == 2 else 0], kx, oversampling, stamps[p, plane])
        total = stamps[p, 0].sum()
        stamps[p, 0] /= total
        for plane in range(1, n_planes):
            # A shift of the PSF moves the argument of the spline the other way; the
            # normalisation by the sum over the stamp moves with it.
            slope = stamps[p, plane].sum() / total
            for j in range(size):
                for i in range(size):
                    stamps[p, plane, j, i] = -oversampling * (
                        stamps[p, plane, j, i] / total - stamps[p, 0, j, i] * slope
                    )


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
    y, x = start[0], start[1]
    myy, mxx, mxy = start[2], start[3], 0.0
    size2 = float(min(stamp.shape[0], stamp.shape[1])) ** 2 / 4.0
    result = np.zeros(7)
    for _ in range(100):
        determinant = myy * mxx - mxy * mxy
        if not (determinant > 0.01 and myy > 0.05 and mxx > 0.05 and myy + mxx < size2):
            break
        s0 = sy = sx = syy = sxx = sxy = ww = 0.0
        for j in range(stamp.shape[0]):
            dy = j - y
            for i in range(stamp.shape[1]):
                if good[j, i]:
                    dx = i - x
                    q = (mxx * dy * dy - 2.0 * mxy * dy * dx + myy * dx * dx) / determinant
                    if q < 32.0:
                        w = np.exp(-0.5 * q)
                        v = w * stamp[j, i]
                        ww += w * w
                        s0 += v
                        sy += v * dy
                        sx += v * dx
                        syy += v * dy * dy
                        sxx += v * dx * dx
                        sxy += v * dy * dx
        if not s0 > 0.0:
            break
        dy0, dx0 = sy / s0, sx / s0
        new_yy = 2.0 * (syy / s0 - dy0 * dy0)
        new_xx = 2.0 * (sxx / s0 - dx0 * dx0)
        new_xy = 2.0 * (sxy / s0 - dy0 * dx0)
        change = abs(new_yy - myy) + abs(new_xx - mxx) + 2.0 * abs(new_xy - mxy)
        change += 2.0 * (abs(dy0) + abs(dx0))
        scale = myy + mxx
        y += 2.0 * dy0
        x += 2.0 * dx0
        myy, mxx, mxy = new_yy, new_xx, new_xy
        if not (abs(y - start[0]) < 5.0 and abs(x - start[1]) < 5.0):
            break
        if change < tolerance * scale:
            result[6] = 1.0
            result[5] = s0 / ww
            break
    result[0], result[1] = y, x
    result[2], result[3], result[4] = myy, mxx, mxy
    if result[6] == 1.0:
        result[5] *= 2.0 * np.pi * np.sqrt(myy * mxx - mxy * mxy)
    return result
