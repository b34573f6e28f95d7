"""Mask planes: one fixed bit a name, as in Rubin's ``afw`` where that fixes them."""

from __future__ import annotations

from enum import IntFlag

import numpy as np
import numpy.typing as npt

from lsstpipe.image._mask_kernel import any_bits


class MaskPlane(IntFlag):
    """What a bit of a mask says of its pixel.

    Bits 0 to 8 are those of Rubin's ``afw``; the rest continue them. Files name their planes, and
    readers go by the name, never by the bit.
    """

    BAD = 1 << 0
    SAT = 1 << 1
    INTRP = 1 << 2
    CR = 1 << 3
    EDGE = 1 << 4
    DETECTED = 1 << 5
    DETECTED_NEGATIVE = 1 << 6
    SUSPECT = 1 << 7
    NO_DATA = 1 << 8
    CROSSTALK = 1 << 9
    NOT_DEBLENDED = 1 << 10
    UNMASKEDNAN = 1 << 11
    BRIGHT_OBJECT = 1 << 12
    CLIPPED = 1 << 13
    REJECTED = 1 << 14
    SENSOR_EDGE = 1 << 15
    INEXACT_PSF = 1 << 16
    STREAK = 1 << 17


MaskArray = npt.NDArray[np.int32]
"""A mask: int32, shape ``(ny, nx)``, bits of `MaskPlane`."""

INVALID = (
    MaskPlane.BAD | MaskPlane.SAT | MaskPlane.INTRP | MaskPlane.CR | MaskPlane.NO_DATA
    | MaskPlane.UNMASKEDNAN
)  # fmt: skip
"""Planes of pixels whose value was not measured."""


def has(mask: MaskArray, planes: MaskPlane) -> npt.NDArray[np.bool_]:
    """Find the pixels that have any of the given planes.

    Parameters
    ----------
    mask
        Mask bits, any shape.
    planes
        The planes asked for, joined by ``|``.

    Returns
    -------
    numpy.ndarray
        True where at least one of the planes is set, shape of ``mask``.
    """
    found: npt.NDArray[np.bool_] = any_bits(mask.ravel(), np.int32(int(planes)))
    return found.reshape(mask.shape)
