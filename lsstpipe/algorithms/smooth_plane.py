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
    rows, columns = (_STEP_PIX * place for place in np.nonzero(usable[::_STEP_PIX, ::_STEP_PIX]))
    if len(rows) < 6:
        return image
    y, x, values = v[rows], u[columns], image[rows, columns].astype(np.float64)
    design = np.stack([np.ones(len(y)), y, x, y * y, x * y, x * x], axis=1)
    kept = np.ones(len(y), bool)
    for _ in range(_N_CLIP + 1):
        # Normal equations of powers of -1 to 1 lose nothing, and take a tenth of the time.
        own = design[kept]
        terms = np.linalg.lstsq(own.T @ own, own.T @ values[kept], rcond=None)[0]
        rest = values - design @ terms
        kept = np.abs(rest) < _CLIP_SIGMA * np.std(rest[kept])
    plane = np.stack([terms[0] + terms[1] * v + terms[3] * v**2, v, np.ones(len(v))], axis=1)
    plane = plane @ np.stack([np.ones(len(u)), terms[4] * u, terms[2] * u + terms[5] * u**2])
    result: FloatImage = image - plane.astype(np.float32)
    return result
