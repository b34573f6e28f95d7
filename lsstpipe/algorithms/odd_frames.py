"""Odd frames: those of a set that are of another kind, such as a flat among biases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FrameFigures:
    """What tells a frame from others of its set.

    Attributes
    ----------
    level
        Median, electrons.
    spread
        Standard deviation of a typical pixel (from the median absolute deviation), electrons.
    """

    level: float
    spread: float


def measure_frame(image: npt.NDArray[np.float32]) -> FrameFigures:
    """Measure a frame; NaN marks pixels not to be used.

    Parameters
    ----------
    image
        Electrons, shape ``(ny, nx)``; every seventh pixel of it is looked at.
    """
    sample = image.ravel()[::7]
    sample = sample[np.isfinite(sample)]
    if len(sample) == 0:
        return FrameFigures(np.nan, np.nan)
    level = float(np.median(sample))
    return FrameFigures(level, 1.4826 * float(np.median(np.abs(sample - level))))


def find_odd_frames(
    levels: FloatArray, spreads: FloatArray, *, max_level_offset: float, max_spread_ratio: float
) -> npt.NDArray[np.bool_]:
    """Find the frames whose level or structure differs from that of most.

    Parameters
    ----------
    levels, spreads
        Of each frame, electrons, shape ``(n,)``; a frame without any is odd.
    max_level_offset
        Electrons that a level may differ from the median level; five times the scatter of the
        levels is allowed in any case, since the bias level of a camera without overscan drifts.
    max_spread_ratio
        Ratio to the median spread, or its inverse, from which a frame is odd.

    Returns
    -------
    numpy.ndarray
        True where a frame is odd, shape ``(n,)``.
    """
    if not np.isfinite(levels).any():
        return np.ones(len(levels), dtype=bool)
    offset = np.abs(levels - np.nanmedian(levels))
    allowed = max(max_level_offset, 5 * 1.4826 * float(np.nanmedian(offset)))
    ratio = spreads / max(float(np.nanmedian(spreads)), 1e-9)
    fits = (offset <= allowed) & (ratio <= max_spread_ratio) & (ratio >= 1 / max_spread_ratio)
    odd: npt.NDArray[np.bool_] = ~fits
    return odd
