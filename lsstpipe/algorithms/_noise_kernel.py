"""Compiled loops over image, variance and mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatImage = npt.NDArray[np.float32]


@njit(cache=True)
def add_poisson(
    variance: FloatImage,
    image: FloatImage,
    read_variance: np.float32,
    bounds: tuple[int, int, int, int],
) -> None:
    """Add the noise of photons and of the read-out to the variance of a box, in place.

    Parameters
    ----------
    variance
        Shape ``(ny, nx)``; changed in place.
    image
        Electrons.
    read_variance
        Of the read-out, electron**2.
    bounds
        ``(y0, y1, x0, x1)`` of the box.
    """
    y0, y1, x0, x1 = bounds
    for y in range(y0, y1):
        for x in range(x0, x1):
            variance[y, x] += max(image[y, x], np.float32(0)) + read_variance


@njit(cache=True)
def subtract_box(
    planes: tuple[FloatImage, FloatImage],
    bias: tuple[FloatImage, FloatImage],
    ratio: np.float32,
    bounds: tuple[int, int, int, int],
) -> None:
    """Subtract a bias from a box and add its variance, in place.

    Parameters
    ----------
    planes
        Image and variance, shape ``(ny, nx)``; changed in place.
    bias
        Image and variance of the bias.
    ratio
        What it is multiplied by.
    bounds
        ``(y0, y1, x0, x1)`` of the box.
    """
    y0, y1, x0, x1 = bounds
    square = ratio * ratio
    for y in range(y0, y1):
        for x in range(x0, x1):
            planes[0][y, x] -= ratio * bias[0][y, x]
            planes[1][y, x] += square * bias[1][y, x]


@njit(cache=True)
def subtract_scaled(
    image: FloatImage,
    variance: FloatImage,
    dark: FloatImage,
    dark_variance: FloatImage,
    scale: np.float32,
    pedestal: np.float32,
) -> None:
    """Subtract a scaled dark and add its variance and the noise of its current, in place.

    Parameters
    ----------
    image, variance
        Shape ``(ny, nx)``; changed in place.
    dark, dark_variance
        Of one dark.
    scale
        What it is multiplied by.
    pedestal
        Part of the scaled dark that is no current.
    """
    square = scale * scale
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            current = scale * dark[y, x]
            image[y, x] -= current
            noise = max(current - pedestal, np.float32(0))
            variance[y, x] += square * dark_variance[y, x] + noise


@njit(cache=True, error_model="numpy")
def divide_by(
    image: FloatImage,
    variance: FloatImage,
    flat: FloatImage,
    flat_variance: FloatImage,
) -> None:
    """Divide by a flat whose error enters by the square of the signal, in place.

    Parameters
    ----------
    image, variance
        Shape ``(ny, nx)``; changed in place; NaN where the flat is not positive.
    flat, flat_variance
        Relative response.
    """
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            response = flat[y, x] if flat[y, x] > 0 else np.float32(np.nan)
            inverse = np.float32(1) / response
            value = image[y, x] * inverse
            signal = max(value, np.float32(0))
            error = flat_variance[y, x] * signal * signal
            image[y, x] = value
            variance[y, x] = (variance[y, x] + error) * inverse * inverse


@njit(cache=True)
def give_up_invalid(
    image: FloatImage,
    variance: FloatImage,
    mask: npt.NDArray[np.int32],
    planes: tuple[int, int],
) -> None:
    """Set image 0, variance 1 and planes where there is no number or no positive variance.

    Parameters
    ----------
    image, variance, mask
        Shape ``(ny, nx)``; changed in place.
    planes
        Bits for pixels without a positive variance, and for those without a number.
    """
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            is_number = np.isfinite(image[y, x]) and np.isfinite(variance[y, x])
            if not (is_number and variance[y, x] > 0):
                image[y, x] = np.float32(0)
                variance[y, x] = np.float32(1)
                mask[y, x] |= planes[0] if is_number else planes[1]
