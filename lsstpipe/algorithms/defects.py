"""Defects: pixels that no calibration can mend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._running_median_kernel import running_median
from lsstpipe.geometry.box import Box

Flags = npt.NDArray[np.bool_]


def find_hot_pixels(dark: npt.NDArray[np.float32], *, max_current: float) -> Flags:
    """Find pixels whose dark current is too strong to be subtracted.

    Parameters
    ----------
    dark
        Master dark, electrons, shape ``(ny, nx)``.
    max_current
        Electrons above the median of the dark that a good pixel may have: beyond, its own shot
        noise is no longer small beside that of the sky.

    Returns
    -------
    numpy.ndarray
        True where the pixel is bad.
    """
    result: Flags = dark - np.median(dark) > max_current
    return result


def find_bad_response(
    flat: npt.NDArray[np.float32], *, size: int, low: float, high: float
) -> Flags:
    """Find pixels whose response differs too much from that of their neighbourhood.

    Parameters
    ----------
    flat
        Relative response, finite, mean about 1, shape ``(ny, nx)``.
    size
        Side of the neighbourhood, in pixels (odd).
    low, high
        Allowed ratio of the response to the neighbourhood: the median over the medians of its
        columns.

    Returns
    -------
    numpy.ndarray
        True where the pixel is bad.
    """
    # Along one axis, then the other: a sixth of the time of the median of the square.
    columns = running_median(np.ascontiguousarray(flat.T), size)
    local = running_median(np.ascontiguousarray(columns.T), size)
    ratio = flat / np.where(local > 0, local, np.nan)
    result: Flags = ~((ratio >= low) & (ratio <= high))
    return result


def complete_columns(bad: Flags, boxes: Sequence[Box], *, min_fraction: float) -> Flags:
    """Take a column for bad as a whole where much of it is.

    A trap or a short spoils every pixel that is read through it; those of its pixels that pass the
    test for bad ones by chance are no better than the rest.

    Parameters
    ----------
    bad
        Bad pixels, shape ``(ny, nx)``.
    boxes
        Pixels of each amplifier: columns end with it.
    min_fraction
        Share of the pixels of a column that are bad from which all of it is.

    Returns
    -------
    numpy.ndarray
        Bad pixels and columns, shape ``(ny, nx)``.
    """
    whole = Box(0, 0, *bad.shape)
    complete = bad.copy()
    for box in boxes:
        own = box.slices_in(whole)
        complete[own] |= bad[own].mean(axis=0) >= min_fraction
    return complete
