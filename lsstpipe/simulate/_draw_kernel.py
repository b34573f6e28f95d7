"""Compiled loops that add stars and galaxies to an image."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]


@njit(cache=True)
def add_moffats(
    image: npt.NDArray[np.float32],
    place: FloatArray,
    flux: FloatArray,
    shape: FloatArray,
    radius: FloatArray,
) -> None:
    """Add stars: Moffat profiles of exponent 3.5 at the centres of the pixels.

    Parameters
    ----------
    image
        Changed in place.
    place
        Position (y, x) of each, shape ``(n, 2)``.
    flux
        Total of each.
    shape
        Squared width and quadratic form (alpha**2, a, b, c) of each, shape ``(n, 4)``.
    radius
        Pixels within which each is drawn.
    """
    ny, nx = image.shape
    for i in range(len(flux)):
        y, x = place[i]
        width, a, b, c = shape[i]
        reach = radius[i]
        peak = flux[i] * 2.5 / (math.pi * width)
        for row in range(max(0, math.ceil(y - reach)), min(ny, math.floor(y + reach) + 1)):
            dy = row - y
            half = math.sqrt(reach * reach - dy * dy)
            for column in range(max(0, math.ceil(x - half)), min(nx, math.floor(x + half) + 1)):
                dx = column - x
                q = 1.0 + (a * dx * dx + 2.0 * b * dx * dy + c * dy * dy) / width
                image[row, column] += np.float32(peak / (q * q * q * math.sqrt(q)))


@njit(cache=True)
def add_gaussians(
    image: npt.NDArray[np.float32],
    place: FloatArray,
    flux: FloatArray,
    covariance: FloatArray,
    n_sigma: float,
) -> None:
    """Add elliptical Gaussians at the centres of the pixels.

    Along a row a Gaussian follows from its neighbour by two multiplications.

    Parameters
    ----------
    image
        Changed in place.
    place
        Position (y, x) of each, shape ``(n, 2)``.
    flux
        Total of each.
    covariance
        Elements (xx, xy, yy) of each, square pixels, shape ``(n, 3)``.
    n_sigma
        Standard deviations within which each is drawn.
    """
    ny, nx = image.shape
    for i in range(len(flux)):
        y, x = place[i]
        xx, xy, yy = covariance[i]
        det = xx * yy - xy * xy
        a, b, c = yy / det, -xy / det, xx / det
        peak = flux[i] / (2.0 * math.pi * math.sqrt(det))
        reach_y = n_sigma * math.sqrt(yy)
        ratio_step = math.exp(-a)
        for row in range(max(0, math.ceil(y - reach_y)), min(ny, math.floor(y + reach_y) + 1)):
            dy = row - y
            # Within the ellipse a dx**2 + 2 b dx dy + c dy**2 <= n_sigma**2.
            root = max(b * b * dy * dy - a * (c * dy * dy - n_sigma * n_sigma), 0.0)
            middle, half = x - b * dy / a, math.sqrt(root) / a
            first, last = max(0, math.ceil(middle - half)), min(nx - 1, math.floor(middle + half))
            if last < first:
                continue
            dx = first - x
            value = peak * math.exp(-0.5 * (a * dx * dx + 2.0 * b * dx * dy + c * dy * dy))
            ratio = math.exp(-0.5 * a * (2.0 * dx + 1.0) - b * dy)
            for column in range(first, last + 1):
                image[row, column] += np.float32(value)
                value *= ratio
                ratio *= ratio_step
