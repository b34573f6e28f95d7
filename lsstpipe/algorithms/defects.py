"""Defects: pixels that no calibration can mend."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

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
        Relative response, mean about 1, shape ``(ny, nx)``.
    size
        Side of the neighbourhood, in pixels (odd).
    low, high
        Allowed ratio of the response to the median of the neighbourhood.

    Returns
    -------
    numpy.ndarray
        True where the pixel is bad.
    """
    local = ndimage.median_filter(flat, size=size, mode="nearest")
    ratio = flat / np.where(local > 0, local, np.nan)
    result: Flags = ~((ratio >= low) & (ratio <= high))
    return result
