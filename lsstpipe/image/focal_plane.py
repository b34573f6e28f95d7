"""Where the pixels of a detector lie on the focal plane of its camera."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from lsstpipe.image.detector import Detector

FloatArray = npt.NDArray[np.float64]


def focal_position(
    detector: Detector, *, y: npt.ArrayLike, x: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Put pixels of a detector on the focal plane.

    Parameters
    ----------
    detector
        The detector.
    y, x
        Pixel positions on it, one shape.

    Returns
    -------
    y, x
        Positions from the centre of the field along the axes of the focal plane, pixels.
    """
    v = np.asarray(y, dtype=np.float64) - (detector.ny - 1) / 2
    u = np.asarray(x, dtype=np.float64) - (detector.nx - 1) / 2
    for _ in range(detector.quarter_turns % 4):
        v, u = u, -v
    return v + detector.focal_y_pix, u + detector.focal_x_pix


def focal_bounds(detectors: Iterable[Detector]) -> tuple[float, float, float, float]:
    """Give the rectangle of the focal plane that some detectors fill.

    Parameters
    ----------
    detectors
        At least one.

    Returns
    -------
    y0, x0, ny, nx
        First row and column, and count of both; the middle of the first pixel is at ``y0, x0``.
    """
    corners = []
    for detector in detectors:
        y = [0, 0, detector.ny - 1, detector.ny - 1]
        x = [0, detector.nx - 1, 0, detector.nx - 1]
        corners.append(np.stack(focal_position(detector, y=y, x=x)))
    every = np.concatenate(corners, axis=1)
    low, high = every.min(axis=1), every.max(axis=1)
    return float(low[0]), float(low[1]), float(high[0] - low[0] + 1), float(high[1] - low[1] + 1)
