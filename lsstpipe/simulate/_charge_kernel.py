"""Compiled loops over the charge in the pixels of a detector."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

FloatImage = npt.NDArray[np.float32]


@njit(cache=True)
def convolve(image: FloatImage, kernel: npt.NDArray[np.float32], level: np.float32) -> FloatImage:
    """Convolve what an image has above a level, which it has beyond its edges too.

    Parameters
    ----------
    image
        Shape ``(ny, nx)``.
    kernel
        Symmetric, of odd sides.
    level
        The level.
    """
    ny, nx = image.shape
    half = kernel.shape[0] // 2
    result = np.zeros((ny, nx), np.float32)
    padded = np.zeros(nx + 2 * half, np.float32)
    for row in range(ny):
        for i in range(nx):
            padded[half + i] = image[row, i] - level
        for k in range(-half, half + 1):
            target = row + k
            if target < 0 or target >= ny:
                continue
            for j in range(2 * half + 1):
                weight = kernel[half + k, j]
                for i in range(nx):
                    result[target, i] += weight * padded[i + j]
    return result


@njit(cache=True)
def displace(image: FloatImage, potential: FloatImage) -> FloatImage:
    """Move charge across the borders of pixels, down the potential's slope.

    Parameters
    ----------
    image
        Charge that would be collected without the field of the charge.
    potential
        Its potential.
    """
    ny, nx = image.shape
    result = image.copy()
    quarter = np.float32(0.25)
    for y in range(ny):
        for x in range(nx):
            here, level = image[y, x], potential[y, x]
            if x + 1 < nx:
                moved = quarter * (here + image[y, x + 1]) * (potential[y, x + 1] - level)
                result[y, x] -= moved
                result[y, x + 1] += moved
            if y + 1 < ny:
                moved = quarter * (here + image[y + 1, x]) * (potential[y + 1, x] - level)
                result[y, x] -= moved
                result[y + 1, x] += moved
    return result


@njit(cache=True)
def bleed(image: FloatImage, full_well: np.float32) -> int:
    """Let charge above the full well flow along the columns, in place.

    Half of the excess goes each way until pixels have room for it; what reaches an edge is lost.

    Parameters
    ----------
    image
        Charge.
    full_well
        What a pixel holds.

    Returns
    -------
    int
        Pixels that overflowed by themselves.
    """
    ny, nx = image.shape
    n_full = 0
    overflows = np.zeros(nx, np.bool_)
    for y in range(ny):
        for x in range(nx):
            overflows[x] |= image[y, x] > full_well
    for x in range(nx):
        if not overflows[x]:
            continue
        up = np.float32(0)
        excess = np.zeros(ny, np.float32)
        for y in range(ny):
            if image[y, x] > full_well:
                excess[y] = image[y, x] - full_well
                image[y, x] = full_well
                n_full += 1
        for y in range(ny):
            room = full_well - image[y, x]
            taken = min(room, up)
            image[y, x] += taken
            up += excess[y] / 2 - taken
        down = np.float32(0)
        for back in range(ny):
            y = ny - 1 - back
            room = full_well - image[y, x]
            taken = min(room, down)
            image[y, x] += taken
            down += excess[y] / 2 - taken
    return n_full


@njit(cache=True)
def add_tracks(image: FloatImage, tracks: npt.NDArray[np.float64]) -> None:
    """Add cosmic rays: straight tracks of even charge, in place.

    Parameters
    ----------
    image
        Charge.
    tracks
        Start (y, x), direction, length in pixels and charge of each, shape ``(n, 5)``.
    """
    ny, nx = image.shape
    for i in range(len(tracks)):
        y0, x0, angle, length, charge = tracks[i]
        n_steps = max(1, math.ceil(4 * length))
        share = np.float32(charge / n_steps)
        for step in range(n_steps):
            along = length * (step + 0.5) / n_steps
            y = math.floor(y0 + along * math.sin(angle) + 0.5)
            x = math.floor(x0 + along * math.cos(angle) + 0.5)
            if 0 <= y < ny and 0 <= x < nx:
                image[y, x] += share
