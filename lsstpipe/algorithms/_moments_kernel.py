"""Compiled loop over the sources whose moments are measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from lsstpipe.image._psf_kernel import adaptive_moments

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@njit(cache=True)
def moments_at(
    image: FloatImage, usable: BoolArray, positions: FloatArray, sigma: float, half: int
) -> FloatArray:
    """Measure the adaptive moments at each position.

    Parameters
    ----------
    image
        Pixel values without background.
    usable
        Pixels to use.
    positions
        Where to start (y, x) in array coordinates, shape ``(n, 2)``.
    sigma
        First guess of the width in pixels.
    half
        Pixels on either side of the central one.

    Returns
    -------
    numpy.ndarray
        Result of `adaptive_moments` with positions in array coordinates, shape ``(n, 7)``.
    """
    ny, nx = image.shape
    result = np.zeros((len(positions), 7))
    start = np.empty(4)
    start[2] = start[3] = sigma * sigma
    for p in range(len(positions)):
        if not (np.isfinite(positions[p, 0]) and np.isfinite(positions[p, 1])):
            continue
        y, x = int(np.floor(positions[p, 0] + 0.5)), int(np.floor(positions[p, 1] + 0.5))
        if y < 0 or x < 0 or y >= ny or x >= nx:
            continue
        top, bottom = max(0, y - half), min(ny, y + half + 1)
        left, right = max(0, x - half), min(nx, x + half + 1)
        start[0], start[1] = positions[p, 0] - top, positions[p, 1] - left
        stamp = image[top:bottom, left:right].astype(np.float64)
        found = adaptive_moments(stamp, usable[top:bottom, left:right], start, 1e-4)
        result[p] = found
        result[p, 0] += top
        result[p, 1] += left
    return result
