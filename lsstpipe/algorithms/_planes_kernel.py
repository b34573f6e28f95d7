"""Compiled loops over image, variance and mask at once: which pixels carry information."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatImage = npt.NDArray[np.float32]
MaskArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]


@njit(cache=True)
def finite_pixels(image: FloatImage, mask: MaskArray, exclude: int) -> BoolArray:
    """Find the pixels with a finite value and none of some planes.

    Parameters
    ----------
    image, mask
        Values and bits of `MaskPlane`, shape ``(ny, nx)``.
    exclude
        Bits of the planes whose pixels do not count.
    """
    bits = np.int32(exclude)
    good = np.empty(image.shape, np.bool_)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            good[y, x] = np.isfinite(image[y, x]) & ((mask[y, x] & bits) == 0)
    return good


@njit(cache=True)
def usable_pixels(
    image: FloatImage, variance: FloatImage, mask: MaskArray, exclude: int
) -> BoolArray:
    """Find the pixels with a finite value, a finite positive variance and none of some planes.

    Parameters
    ----------
    image, variance, mask
        Values, their variance, and bits of `MaskPlane`, shape ``(ny, nx)``.
    exclude
        Bits of the planes whose pixels do not count.
    """
    bits = np.int32(exclude)
    good = np.empty(image.shape, np.bool_)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            known = np.isfinite(image[y, x]) & np.isfinite(variance[y, x])
            good[y, x] = known & (variance[y, x] > 0) & ((mask[y, x] & bits) == 0)
    return good


@njit(cache=True)
def with_bits(mask: MaskArray, where: BoolArray, bits: int) -> MaskArray:
    """Copy a mask and set bits of some pixels.

    Parameters
    ----------
    mask, where
        Bits of `MaskPlane`, and the pixels, shape ``(ny, nx)``.
    bits
        What to set.
    """
    more = np.int32(bits)
    result = np.empty(mask.shape, np.int32)
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            result[y, x] = mask[y, x] | more if where[y, x] else mask[y, x]
    return result
