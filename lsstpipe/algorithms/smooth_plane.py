"""A smooth surface of second degree through an image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_STEP_PIX = 3
_N_CLIP = 2
_CLIP_SIGMA = 4.0


def subtract_smooth_plane(image: FloatImage, usable: BoolArray) -> FloatImage:
    """Fit a polynomial of second degree to the good pixels and take it off.

    Parameters
    ----------
    image
        Pixel values, shape ``(ny, nx)``.
    usable
        Pixels to fit, same shape; every third in each direction is.
    """
    v, u = (np.linspace(-1.0, 1.0, length) for length in image.shape)
    thin = np.zeros(image.shape, bool)
    thin[::_STEP_PIX, ::_STEP_PIX] = True
    rows, columns = np.nonzero(usable & thin)
    if len(rows) < 6:
        return image
    y, x, values = v[rows], u[columns], image[rows, columns].astype(np.float64)
    design = np.stack([np.ones(len(y)), y, x, y * y, x * y, x * x], axis=1)
    kept = np.ones(len(y), bool)
    for _ in range(_N_CLIP + 1):
        terms = np.linalg.lstsq(design[kept], values[kept], rcond=None)[0]
        rest = values - design @ terms
        kept = np.abs(rest) < _CLIP_SIGMA * np.std(rest[kept])
    plane = (
        terms[0] + terms[1] * v[:, None] + terms[2] * u + terms[3] * v[:, None] ** 2
        + terms[4] * v[:, None] * u + terms[5] * u**2
    )  # fmt: skip
    result: FloatImage = image - plane.astype(np.float32)
    return result
