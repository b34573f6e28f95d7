"""Compiled loop of the windowed centroids."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@njit(cache=True)
def windowed(
    image: FloatImage,
    variance: FloatImage,
    usable: BoolArray,
    positions: FloatArray,
    sigma: float,
) -> FloatArray:
    """Iterate the centroid within a Gaussian window at each position.

    Parameters
    ----------
    image, variance
        Pixel values without background, and their variance.
    usable
        Pixels to use.
    positions
        Where to start (y, x) in array coordinates, shape ``(n, 2)``.
    sigma
        Standard deviation of the window in pixels.

    Returns
    -------
    numpy.ndarray
        ``(y, x, variance of y, variance of x, converged)``, shape ``(n, 5)``.
    """
    ny, nx = image.shape
    half = int(np.ceil(4.0 * sigma))
    result = np.zeros((len(positions), 5))
    for p in range(len(positions)):
        y, x = positions[p, 0], positions[p, 1]
        for _ in range(40):
            if not (abs(y - positions[p, 0]) < 3.0 and abs(x - positions[p, 1]) < 3.0):
                break
            cy, cx = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
            if cy < 0 or cx < 0 or cy >= ny or cx >= nx:
                break
            s0 = sy = sx = vy = vx = 0.0
            for j in range(max(0, cy - half), min(ny, cy + half + 1)):
                for i in range(max(0, cx - half), min(nx, cx + half + 1)):
                    if usable[j, i]:
                        dy, dx = j - y, i - x
                        w = np.exp(-0.5 * (dy * dy + dx * dx) / (sigma * sigma))
                        s0 += w * image[j, i]
                        sy += w * image[j, i] * dy
                        sx += w * image[j, i] * dx
                        vy += w * w * variance[j, i] * dy * dy
                        vx += w * w * variance[j, i] * dx * dx
            if not s0 > 0.0:
                break
            y += 2.0 * sy / s0
            x += 2.0 * sx / s0
            if abs(sy) + abs(sx) < 5e-5 * s0:
                result[p, 4] = 1.0
                result[p, 2] = 4.0 * vy / (s0 * s0)
                result[p, 3] = 4.0 * vx / (s0 * s0)
                break
        result[p, 0], result[p, 1] = y, x
    return result
