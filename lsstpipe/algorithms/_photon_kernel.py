"""Compiled loops that put the photon noise of fitted sources into the weights of an image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatImage = npt.NDArray[np.float32]


@njit(cache=True)
def photon_slope(
    light: FloatImage, weight: FloatImage, variance: FloatImage, sky_variance: FloatImage
) -> float:
    """Fit the variance that each unit of light adds to that of the sky.

    Parameters
    ----------
    light
        Model of the sources.
    weight
        0 for pixels that do not count.
    variance, sky_variance
        Variance of the pixels, with and without the photon noise of the sources.

    Returns
    -------
    float
        Least-squares slope through the origin, at least 0.
    """
    along, power = 0.0, 0.0
    for j in range(light.shape[0]):
        for i in range(light.shape[1]):
            height = np.float64(light[j, i])
            if height > 0.0 and weight[j, i] > 0.0:
                along += height * np.float64(variance[j, i] - sky_variance[j, i])
                power += height * height
    return max(0.0, along / power) if power > 0.0 else 0.0


@njit(cache=True)
def add_photons(
    weight: FloatImage, light: FloatImage, sky_variance: FloatImage, slope: float
) -> None:
    """Put the photon noise of sources into weights, in place.

    Parameters
    ----------
    weight
        Inverse variance, 0 for pixels that do not count; changed.
    light
        Model of the sources.
    sky_variance
        Variance of the sky alone.
    slope
        Variance that each unit of light adds.
    """
    each = np.float32(slope)
    for j in range(light.shape[0]):
        for i in range(light.shape[1]):
            if light[j, i] > 0.0 and weight[j, i] > 0.0:
                weight[j, i] = np.float32(1.0) / (sky_variance[j, i] + each * light[j, i])
