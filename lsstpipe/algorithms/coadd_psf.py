"""PSF of a coadd, from the PSFs of its inputs and the way they were resampled.

The PSF of a linear coadd is the weighted mean of the warped PSFs of the images that take part
(Bosch et al. 2018, PASJ 70, S5, section 4.1); it is never fitted to the stars of the coadd.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._resample_kernel import warp_planes
from lsstpipe.algorithms.combine import WarpStack
from lsstpipe.algorithms.resample import PixelMap, lanczos_table
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.box import Box
from lsstpipe.image.psf import CellPsf, Psf, nearest_pixel

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_OVERSAMPLING = 2


@dataclass(frozen=True, slots=True)
class PsfInput:
    """One image of a coadd.

    Attributes
    ----------
    psf
        PSF on the image's own pixels.
    to_source
        Map from pixels of the coadd to those of the image.
    """

    psf: Psf
    to_source: PixelMap


@dataclass(frozen=True, slots=True)
class CellGrid:
    """Square cells from the lower left corner of a box; the last ones may stick out of it.

    Attributes
    ----------
    box
        Pixels to cover.
    cell_size
        Side of a cell, pixels.
    """

    box: Box
    cell_size: int

    @property
    def shape(self) -> tuple[int, int]:
        """Number of cells ``(n_cell_y, n_cell_x)``."""
        return -(-self.box.ny // self.cell_size), -(-self.box.nx // self.cell_size)

    def centres(self) -> tuple[FloatArray, FloatArray]:
        """Return the pixel in the middle of the part of each cell that is in the box.

        Returns
        -------
        y, x
            Absolute whole numbers, shape `shape`.
        """
        axes = []
        for first, length, n_cells in zip(
            (self.box.y0, self.box.x0), self.box.shape, self.shape, strict=True
        ):
            low = np.arange(n_cells) * self.cell_size
            high = np.minimum(low + self.cell_size, length)
            axes.append(first + np.floor(0.5 * (low + high)))
        y, x = np.meshgrid(*axes, indexing="ij")
        return y, x


def warped_stamps(
    source: PsfInput, *, y: FloatArray, x: FloatArray, size: int, order: int = 3
) -> FloatArray:
    """Draw the PSF that an image has after it was warped.

    A star is drawn where it falls on the source's pixels and warped as the image is, with the map
    linear over the stamp.

    Parameters
    ----------
    source
        The image.
    y, x
        Positions of the star on the target, absolute, shape ``(n,)``.
    size
        Side of a stamp, odd.
    order
        Order of the Lanczos kernel.

    Returns
    -------
    stamps
        Around the pixel nearest to the star, shape ``(n, size, size)``, of sum 1 but for what lies
        beyond the stamp; NaN where the map does not exist.
    """
    y, x = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)
    star = np.stack(source.to_source(y, x))
    by_y = np.stack(source.to_source(y + 0.5, x)) - np.stack(source.to_source(y - 0.5, x))
    by_x = np.stack(source.to_source(y, x + 0.5)) - np.stack(source.to_source(y, x - 0.5))
    pixel = star + (nearest_pixel(y) - y) * by_y + (nearest_pixel(x) - x) * by_x
    stamps = np.full((len(y), size, size), np.nan)
    exists = np.flatnonzero(np.isfinite(pixel).all(axis=0))
    if len(exists) > 0:
        drawn = source.psf.stamps(y=star[0, exists], x=star[1, exists])
        table = lanczos_table(order)
        for i, stamp in zip(exists, drawn, strict=True):
            middle = pixel[:, i] - nearest_pixel(star[:, i]) + stamp.shape[0] // 2
            jacobian = np.stack([by_y[:, i], by_x[:, i]])
            stamps[i] = _warp_stamp(stamp, middle, jacobian, table, size)
    return stamps


def oversampled_stamps(
    source: PsfInput, *, y: FloatArray, x: FloatArray, size: int, order: int = 3
) -> FloatArray:
    """Draw the PSF that an image has after it was warped at every half pixel.

    Stars half a pixel apart fill in what lies between the pixels of one.

    Parameters
    ----------
    source
        The image.
    y, x
        Pixels of the target, absolute whole numbers, shape ``(n,)``.
    size
        Side of a stamp in pixels, odd.
    order
        Order of the Lanczos kernel.

    Returns
    -------
    knots
        Shape ``(n, 2 * size - 1, 2 * size - 1)``; NaN where the map does not exist.
    """
    n_knots = _OVERSAMPLING * (size - 1) + 1
    knots = np.empty((len(y), n_knots, n_knots))
    for j, i in np.ndindex(_OVERSAMPLING, _OVERSAMPLING):
        at = {"y": y + j / _OVERSAMPLING, "x": x + i / _OVERSAMPLING}
        stamps = warped_stamps(source, **at, size=size, order=order)
        # Past the middle of its pixel a star belongs to the next one, and so does its stamp.
        knots[:, j::_OVERSAMPLING, i::_OVERSAMPLING] = stamps[:, : size - j, : size - i]
    return knots


def _warp_stamp(
    stamp: FloatArray, middle: FloatArray, jacobian: FloatArray, table: FloatArray, size: int
) -> FloatArray:
    """Warp one stamp with its middle at ``middle`` and rows and columns going by ``jacobian``."""
    half = size // 2
    # Zeros as far as the target stamp may reach, so that no pixel of it lies outside.
    reach = half * np.abs(jacobian).sum(axis=0).max() + np.abs(middle - stamp.shape[0] // 2).max()
    margin = max(int(np.ceil(reach)) + table.shape[1] - stamp.shape[0] // 2, 0)
    padded = np.pad(stamp, margin).astype(np.float32)
    nodes = np.full((3, 2, 2), abs(float(np.linalg.det(jacobian))))
    # The second node is one pixel beyond the stamp, so that one cell of nodes covers it.
    for j in (0, 1):
        for i in (0, 1):
            steps = np.array([j * size - half, i * size - half])
            nodes[:2, j, i] = middle + margin + steps @ jacobian
    image, variance = np.zeros((2, size, size), dtype=np.float32)
    mask = np.zeros((size, size), dtype=np.int32)
    source = (padded, np.zeros(padded.shape, dtype=np.int32), padded)
    warp_planes(source, nodes, size, table, 1.0, (image, mask, variance))
    return image.astype(np.float64)


def cell_weights(stack: WarpStack, weights: FloatArray, grid: CellGrid) -> FloatArray:
    """Weigh each warp in each cell by its weight and the share of the cell that it fills.

    Parameters
    ----------
    stack
        The warps.
    weights
        Weight of each warp, shape ``(n,)``.
    grid
        Cells over the box of the warps.

    Returns
    -------
    weights
        Shape ``(n, n_cell_y, n_cell_x)``.
    """
    return weights[:, None, None] * cell_shares(stack.good(), grid)


def cell_shares(filled: BoolArray, grid: CellGrid) -> FloatArray:
    """Find what share of each cell images fill.

    Parameters
    ----------
    filled
        Pixels of the box of the grid that each fills, shape ``(n, ny, nx)``.
    grid
        The cells.

    Returns
    -------
    shares
        Of a whole cell, shape ``(n, n_cell_y, n_cell_x)``.
    """
    size = grid.cell_size
    sums = np.add.reduceat(filled, np.arange(0, grid.box.ny, size), axis=1, dtype=np.float64)
    sums = np.add.reduceat(sums, np.arange(0, grid.box.nx, size), axis=2)
    return np.asarray(sums / size**2, dtype=np.float64)


def coadd_psf(
    inputs: Sequence[PsfInput],
    weights: FloatArray,
    grid: CellGrid,
    *,
    size: int,
    order: int = 3,
) -> CellPsf:
    """Average the warped PSFs of the inputs in each cell.

    Parameters
    ----------
    inputs
        The images of the coadd.
    weights
        Weight of each in each cell, shape ``(n, n_cell_y, n_cell_x)``.
    grid
        The cells.
    size
        Side of a stamp in pixels, odd.
    order
        Order of the Lanczos kernel that made the warps.

    Returns
    -------
    CellPsf
        PSF of each cell; a cell without inputs has that of the nearest cell with some.

    Raises
    ------
    AlgorithmError
        If no cell has an input.
    """
    cell_y, cell_x = grid.centres()
    n_knots = _OVERSAMPLING * (size - 1) + 1
    total = np.zeros((*grid.shape, n_knots, n_knots))
    weight_sum = np.zeros(grid.shape)
    for source, weight in zip(inputs, weights, strict=True):
        used = np.nonzero(weight > 0.0)
        stamps = oversampled_stamps(source, y=cell_y[used], x=cell_x[used], size=size, order=order)
        known = np.isfinite(stamps).all(axis=(1, 2))
        used = used[0][known], used[1][known]
        total[used] += weight[used][:, None, None] * stamps[known]
        weight_sum[used] += weight[used]
    filled = np.argwhere(weight_sum > 0.0)
    if len(filled) == 0:
        raise AlgorithmError("No cell of the coadd has an input, so it has no PSF.")
    for cell in np.argwhere(weight_sum <= 0.0):
        here, nearest = tuple(cell), tuple(filled[np.argmin(((filled - cell) ** 2).sum(axis=1))])
        total[here], weight_sum[here] = total[nearest], weight_sum[nearest]
    centred = total[:, :, ::_OVERSAMPLING, ::_OVERSAMPLING]
    images = total / centred.sum(axis=(2, 3), keepdims=True)
    return CellPsf(images, grid.box.y0, grid.box.x0, grid.cell_size, _OVERSAMPLING)
