"""Noise: the variance plane of an image in electrons."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]


def predict_variance(image: Image, current: Image, *, read_noise: Image) -> Image:
    """Predict the variance of each pixel of an image without its dark current.

    Photons and dark current are Poisson, the read-out adds its own.

    Parameters
    ----------
    image
        Electrons without the dark current, shape ``(ny, nx)``.
    current
        Dark current that was in it, electrons; its part in ``read_noise`` left out.
    read_noise
        Noise of a pixel without light, electrons.

    Returns
    -------
    numpy.ndarray
        Variance, electron**2; never below that of the read-out.
    """
    result: Image = np.clip(image, 0, None) + np.clip(current, 0, None) + read_noise**2
    return result.astype(np.float32, copy=False)
