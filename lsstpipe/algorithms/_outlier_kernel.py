"""Compiled loops over the pixels of one warp: how significantly each differs from a model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatPixels = npt.NDArray[np.float32]
Warp = tuple[FloatPixels, FloatPixels, npt.NDArray[np.bool_]]
"""Values, variance, and which are not to be used; all of one pixel after another."""


@njit(cache=True, error_model="numpy")
def sky_pulls(warp: Warp, model: FloatPixels, n_sigma: float) -> FloatPixels:
    """Collect (value - model) / error of the pixels that have no source.

    Parameters
    ----------
    warp
        The pixels, each plane of shape ``(n,)``.
    model
        The static sky, same shape.
    n_sigma
        Significance of the model from which a pixel has a source.

    Returns
    -------
    pulls
        One for each pixel of the sky, in their order.
    """
    image, variance, unusable = warp
    limit = np.float32(n_sigma)
    pulls = np.empty(len(image), dtype=np.float32)
    n = 0
    for i in range(len(image)):
        sigma = np.sqrt(variance[i])
        if not unusable[i] and model[i] < limit * sigma:
            pulls[n] = (image[i] - model[i]) / sigma
            n += 1
    return pulls[:n]


@njit(cache=True, error_model="numpy")
def significances(
    warp: Warp,
    model: tuple[FloatPixels, FloatPixels],
    pull: tuple[np.float32, np.float32],
    contrast: np.float32,
) -> FloatPixels:
    """Divide what differs from a model by its error.

    Parameters
    ----------
    warp
        The pixels, each plane of shape ``(n,)``.
    model
        The static sky, and its brightest pixel nearby.
    pull
        Middle and width of (value - model) / error on the sky, which are taken out.
    contrast
        Share of the brightest pixel nearby that is added to the error, squared.

    Returns
    -------
    significance
        Shape ``(n,)``; 0 where a pixel is not to be used.
    """
    image, variance, unusable = warp
    sky, nearby = model
    middle, width = pull
    result = np.empty(len(image), dtype=np.float32)
    for i in range(len(image)):
        sigma = np.sqrt(variance[i])
        difference = (image[i] - sky[i]) - middle * sigma
        error, light = np.float64(sigma * width), np.float64(contrast * nearby[i])
        total = np.float32(np.sqrt(error * error + light * light))
        result[i] = np.float32(0.0) if unusable[i] else np.abs(difference) / total
    return result
