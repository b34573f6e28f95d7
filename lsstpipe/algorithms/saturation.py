"""Saturation: grow what is saturated over what it spilled into."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage


def grow_saturated(saturated: npt.NDArray[np.bool_], *, radius: int) -> npt.NDArray[np.bool_]:
    """Grow saturated pixels in all directions.

    Parameters
    ----------
    saturated
        True where the raw level is at saturation, shape ``(ny, nx)``.
    radius
        Pixels to grow by; charge has leaked into the neighbours of a full pixel.
    """
    if radius == 0 or not saturated.any():
        return saturated.copy()
    square = np.ones((2 * radius + 1, 2 * radius + 1), dtype=bool)
    result: npt.NDArray[np.bool_] = ndimage.binary_dilation(saturated, structure=square)
    return result
