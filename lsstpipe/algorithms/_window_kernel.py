"""Compiled loops over square windows of an image about many positions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
MaskArray = npt.NDArray[np.int32]


@njit(cache=True)
def bits_near(mask: MaskArray, pixels: IntArray, half: int) -> MaskArray:
    """Collect the bits of all pixels in a window about each position.

    Parameters
    ----------
    mask
        Bits of `MaskPlane`, shape ``(ny, nx)``.
    pixels
        Row and column of each position, shape ``(n, 2)``; windows may leave the image.
    half
        Pixels on either side of the central one.

    Returns
    -------
    numpy.ndarray
        Union of the bits, shape ``(n,)``.
    """
    ny, nx = mask.shape
    found = np.zeros(len(pixels), np.int32)
    for k in range(len(pixels)):
        y, x = pixels[k]
        for j in range(max(0, y - half), min(ny, y + half + 1)):
            for i in range(max(0, x - half), min(nx, x + half + 1)):
                found[k] |= mask[j, i]
    return found


@njit(cache=True)
def cut_windows(image: FloatImage, corners: IntArray, size: int, outside: float) -> FloatImage:
    """Copy windows out of an image.

    Parameters
    ----------
    image
        Pixel values, shape ``(ny, nx)``.
    corners
        Row and column of the first pixel of each window, shape ``(n, 2)``.
    size
        Side of a window.
    outside
        Value of pixels off the image.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, size, size)``.
    """
    ny, nx = image.shape
    windows = np.full((len(corners), size, size), np.float32(outside), np.float32)
    for k in range(len(corners)):
        y, x = corners[k]
        for j in range(max(0, -y), min(size, ny - y)):
            for i in range(max(0, -x), min(size, nx - x)):
                windows[k, j, i] = image[y + j, x + i]
    return windows


@njit(cache=True)
def cut_mask(mask: MaskArray, corners: IntArray, size: int, outside: int) -> MaskArray:
    """Copy windows out of a mask, as `cut_windows`.

    Parameters
    ----------
    mask
        Bits of `MaskPlane`, shape ``(ny, nx)``.
    corners
        Row and column of the first pixel of each window, shape ``(n, 2)``.
    size
        Side of a window.
    outside
        Bits of pixels off the image.
    """
    ny, nx = mask.shape
    windows = np.full((len(corners), size, size), np.int32(outside), np.int32)
    for k in range(len(corners)):
        y, x = corners[k]
        for j in range(max(0, -y), min(size, ny - y)):
            for i in range(max(0, -x), min(size, nx - x)):
                windows[k, j, i] = mask[y + j, x + i]
    return windows
