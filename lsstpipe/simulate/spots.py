"""Spots of light that show crosstalk: wherever one amplifier is lit the others are dark."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.readout import assemble
from lsstpipe.image.detector import Detector

FloatImage = npt.NDArray[np.float32]

_PITCH_PIX, _SIGMA_PIX = 64, 6.0


def draw_spots(detector: Detector) -> FloatImage:
    """Draw a lattice of Gaussian spots whose rows light the amplifiers in turn.

    Rows count in the order of reading, so that no two amplifiers are lit in pixels that are read
    at the same time; on a test bench a projector is moved from one amplifier to the next.

    Parameters
    ----------
    detector
        Its amplifiers.

    Returns
    -------
    numpy.ndarray
        Light, 1 in the middle of a spot, shape ``(ny, nx)``.
    """
    n = len(detector.amplifiers)
    ny, nx = (max(a.box.shape[axis] for a in detector.amplifiers) for axis in (0, 1))
    columns = _profile(nx, np.arange(_PITCH_PIX // 2, nx, _PITCH_PIX))
    middles = np.arange(_PITCH_PIX // 2, ny, _PITCH_PIX)
    cube = np.stack([np.outer(_profile(ny, middles[i::n]), columns) for i in range(n)])
    return assemble(cube.astype(np.float32), detector)


def _profile(length: int, middles: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Draw spots along a line."""
    away = np.arange(length)[:, None] - middles[None, :]
    profile: npt.NDArray[np.float64] = np.exp(-0.5 * (away / _SIGMA_PIX) ** 2).sum(axis=1)
    return profile
