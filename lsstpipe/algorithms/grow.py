"""Sets of pixels: all pixels near them, and the regions that hold a seed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._grow_kernel import follow, paint_discs

BoolArray = npt.NDArray[np.bool_]


def grow(pixels: BoolArray, radius: float) -> BoolArray:
    """Add all pixels within a radius.

    Parameters
    ----------
    pixels
        Where to start from, shape ``(ny, nx)``.
    radius
        Largest distance between the middles of two pixels.

    Returns
    -------
    numpy.ndarray
        The larger set.
    """
    if radius < 1 or not pixels.any():
        return pixels
    offset = np.arange(int(radius) + 1)
    half_widths = np.sqrt(radius**2 - offset**2).astype(np.int64)
    grown: BoolArray = paint_discs(np.ascontiguousarray(pixels), half_widths)
    return grown


def connected_to(found: BoolArray, seed: BoolArray) -> BoolArray:
    """Keep the regions that hold a seed.

    Parameters
    ----------
    found
        Pixels of all regions, shape ``(ny, nx)``; pixels that touch, also at a corner, are of one.
    seed
        Pixels of which a region needs one to be kept.

    Returns
    -------
    numpy.ndarray
        Pixels of the regions that are kept.
    """
    kept: BoolArray = follow(np.ascontiguousarray(found), np.flatnonzero(seed))
    return kept
