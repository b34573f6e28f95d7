"""Overscan: the bias level of each amplifier, from the pixels read beyond the detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lsstpipe.algorithms._overscan_kernel import median_of_rows
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import Amplifier

Image = npt.NDArray[np.float32]

_N_SIGMA = 5.0
_N_CLIPS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Overscan:
    """What the overscan of an amplifier shows.

    Attributes
    ----------
    row_level
        Bias level of each row of its data, ADU, shape ``(ny,)``; 0 where it has no overscan.
    column_level
        What each column has above that, ADU, shape ``(nx,)``; None where it was not asked for.
    noise_adu
        Noise of a pixel within its row, ADU; NaN where there is no overscan.
    """

    row_level: Image
    column_level: Image | None
    noise_adu: float


def measure_overscan(
    frame: Image,
    amplifier: Amplifier,
    *,
    skip: tuple[int, int],
    n_rows: int = 1,
    with_parallel: bool = False,
) -> Overscan:
    """Measure the bias level of an amplifier.

    Parameters
    ----------
    frame
        Raw frame, ADU, shape ``(raw_ny, raw_nx)``.
    amplifier
        Where its overscans lie.
    skip
        Columns of the serial overscan, or rows of the parallel one, to leave out: so many read
        first and so many read last. The first hold charge that the last pixel left behind.
    n_rows
        Rows that the level is averaged over; 1 for row by row.
    with_parallel
        Whether to measure the columns too, where there is a parallel overscan.

    Raises
    ------
    AlgorithmError
        If no column is left.
    """
    serial, parallel = amplifier.serial_overscan, amplifier.parallel_overscan
    if serial is None:
        return Overscan(np.zeros(amplifier.data.ny, np.float32), None, float("nan"))
    is_before = serial.x0 < amplifier.data.x0
    pixels = np.ascontiguousarray(_kept(frame, serial, skip, is_before=is_before))
    median = median_of_rows(pixels)
    level = ndimage.uniform_filter1d(median, n_rows, mode="nearest") if n_rows > 1 else median
    columns = None
    if with_parallel and parallel is not None:
        is_before = parallel.y0 < amplifier.data.y0
        rows = _kept(frame.T, _turned(parallel), skip, is_before=is_before)
        columns = _column_level(median_of_rows(np.ascontiguousarray(rows)))
    return Overscan(level, columns, _noise(pixels - median[:, None]))


def _kept(frame: Image, box: Box, skip: tuple[int, int], *, is_before: bool) -> Image:
    """Cut out the columns of an overscan that are to be used."""
    if box.nx <= sum(skip):
        raise AlgorithmError(
            f"The overscan has {box.nx} columns, of which {sum(skip)} are to be left out."
        )
    first, last = reversed(skip) if is_before else skip
    ny, nx = frame.shape
    rows, columns = box.slices_in(Box(0, 0, ny, nx))
    return frame[rows, columns.start + first : columns.stop - last]


def _turned(box: Box) -> Box:
    """Exchange rows and columns."""
    return Box(box.x0, box.y0, box.nx, box.ny)


def _column_level(median: Image) -> Image:
    """Take the pattern of the columns: what each has above all; 0 where charge has bled into it."""
    pattern: Image = median - np.median(median)
    spread = 1.4826 * np.median(np.abs(pattern))
    return np.where(np.abs(pattern) > _N_SIGMA * max(spread, 1.0), np.float32(0), pattern)


def _noise(residual: Image) -> float:
    """Measure the standard deviation without the few pixels that a source has leaked into."""
    noise = float(np.std(residual))
    for _ in range(_N_CLIPS):
        noise = float(np.std(residual[np.abs(residual) <= _N_SIGMA * noise]))
    # The median of n pixels has the variance pi / 2n, and with each of them the covariance 1 / n.
    n = residual.shape[1]
    return noise / float(np.sqrt(1 + (np.pi / 2 - 2) / n))
