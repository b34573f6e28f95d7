"""Saturation: grow what is saturated over what it spilled into."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._saturation_kernel import grow_square, widen_runs

_GROWTH_OF_LENGTH = np.array([0, 0, 0, 0, 0, 0, 1, 1, 3, 3, 4], dtype=np.int64)


def grow_saturated(saturated: npt.NDArray[np.bool_], *, radius: int) -> npt.NDArray[np.bool_]:
    """Grow saturated pixels in all directions.

    Parameters
    ----------
    saturated
        True where the raw level is at saturation, shape ``(ny, nx)``.
    radius
        Pixels to grow by; charge has leaked into the neighbours of a full pixel.
    """
    result: npt.NDArray[np.bool_] = grow_square(saturated, radius)
    return result


def widen_trails(saturated: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Widen saturated regions along rows: the wider they are the more charge has run over.

    A run of 6 or 7 pixels is widened by 1 on either side, of 8 or 9 by 3, of 10 and more by 4 (the
    rule of Rubin's ``widenSaturationTrails``).

    Parameters
    ----------
    saturated
        True where the raw level is at saturation, shape ``(ny, nx)``; columns are the direction
        that charge bleeds in.
    """
    result: npt.NDArray[np.bool_] = widen_runs(saturated, _GROWTH_OF_LENGTH)
    return result
