"""Noise: the variance plane of an image in electrons."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]


def make_variance(image: Image, dark: Image, dark_variance: Image, *, read_noise: float) -> Image:
    """Predict the variance of each pixel of a dark-subtracted image.

    Photons and the dark current of hot pixels are Poisson; ``read_noise`` is measured on darks and
    so holds the dark current of a typical pixel already.

    Parameters
    ----------
    image
        Dark-subtracted electrons, shape ``(ny, nx)``.
    dark, dark_variance
        The master dark that was subtracted and its variance.
    read_noise
        Noise of a typical pixel of one dark, electrons.

    Returns
    -------
    numpy.ndarray
        Variance, electron**2; never below that of the read-out.
    """
    current = np.clip(dark - np.median(dark), 0, None)
    result: Image = (np.clip(image, 0, None) + current + dark_variance + read_noise**2).astype(
        np.float32
    )
    return result
