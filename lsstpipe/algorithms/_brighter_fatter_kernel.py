"""Compiled loops of the brighter-fatter correction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatImage = npt.NDArray[np.float32]

_N_TAPS = 4
"""Elements of the kernel that are taken at a time: a pixel is loaded and stored once for them."""


@njit(cache=True)
def potential_of(image: FloatImage, kernel: FloatImage, level: np.float32) -> FloatImage:
    """Convolve what an image has above a level; beyond its edges it is at the level.

    Parameters
    ----------
    image
        Shape ``(ny, nx)``.
    kernel
        Shape ``(s, s)`` with s odd; for 11 pixels this takes half the time of a Fourier transform.
    level
        The level.
    """
    ny, nx = image.shape
    size = kernel.shape[0]
    half = size // 2
    n_groups = (size + _N_TAPS - 1) // _N_TAPS
    taps = np.zeros((size, n_groups * _N_TAPS), np.float32)
    taps[:, :size] = kernel[::-1, ::-1]
    line = np.zeros(nx + n_groups * _N_TAPS, np.float32)
    potential = np.zeros((ny, nx), np.float32)
    for y in range(ny):
        for x in range(nx):
            line[half + x] = image[y, x] - level
        for j in range(size):
            target = y + half - j
            if target < 0 or target >= ny:
                continue
            for group in range(n_groups):
                i = group * _N_TAPS
                a, b, c, d = taps[j, i], taps[j, i + 1], taps[j, i + 2], taps[j, i + 3]
                for x in range(nx):
                    potential[target, x] += (
                        a * line[x + i]
                        + b * line[x + i + 1]
                        + c * line[x + i + 2]
                        + d * line[x + i + 3]
                    )
    return potential


@njit(cache=True)
def add_displaced(
    measured: FloatImage,
    image: FloatImage,
    potential: FloatImage,
) -> float:
    """Put back into each pixel what the field of its neighbourhood moved across its borders.

    The charge that crosses a border is half the mean signal on both sides times the step of the
    potential; none crosses the edge of the image. What one pixel gains another loses.

    Parameters
    ----------
    measured
        Image as measured, shape ``(ny, nx)``.
    image
        Image as it was before, by the last iteration; replaced by that of the next.
    potential
        Kernel convolved with ``image``.

    Returns
    -------
    float
        Largest change of a pixel.
    """
    ny, nx = image.shape
    half = np.float32(0.25)
    # Charge that comes over the border to the right of each pixel, below it, and above it. Loops
    # over whole rows let the compiler use vector instructions.
    right, below, above = np.zeros((3, nx), np.float32)
    change = np.zeros(nx, np.float32)
    for y in range(ny):
        row, field = image[y], potential[y]
        for x in range(nx - 1):
            right[x] = half * (row[x] + row[x + 1]) * (field[x + 1] - field[x])
        if y + 1 < ny:
            for x in range(nx):
                below[x] = half * (row[x] + image[y + 1, x]) * (potential[y + 1, x] - field[x])
        else:
            below[:] = np.float32(0)
        for x in range(nx):
            left = right[x - 1] if x > 0 else np.float32(0)
            value = measured[y, x] + (right[x] - left) + (below[x] - above[x])
            change[x] = max(change[x], abs(value - row[x]))
            row[x] = value
        above[:] = below
    return float(change.max())
