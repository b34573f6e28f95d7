"""Overscan: the bias level of each amplifier, from the pixels read beyond the detector."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.box import Box

Image = npt.NDArray[np.float32]


def measure_serial_overscan(
    frame: Image, overscan: Box, *, skip_first: int, skip_last: int
) -> npt.NDArray[np.float32]:
    """Measure the bias level of each row.

    Parameters
    ----------
    frame
        Raw frame, ADU, shape ``(raw_ny, raw_nx)``.
    overscan
        Serial overscan of an amplifier.
    skip_first, skip_last
        Columns to leave out on either side: the first hold charge that the last pixel left behind.

    Returns
    -------
    level
        Median of each row, ADU, shape ``(ny,)``.

    Raises
    ------
    AlgorithmError
        If no column is left.
    """
    if overscan.nx <= skip_first + skip_last:
        raise AlgorithmError(
            f"The overscan has {overscan.nx} columns, of which {skip_first + skip_last} are to be "
            f"left out."
        )
    ny, nx = frame.shape
    rows, columns = overscan.slices_in(Box(0, 0, ny, nx))
    kept = slice(columns.start + skip_first, columns.stop - skip_last)
    level: npt.NDArray[np.float32] = np.median(frame[rows, kept], axis=1).astype(np.float32)
    return level
