"""Resampling of images to another pixel grid by Lanczos interpolation.

Flux is conserved: a value is multiplied by the area that its pixel covers in the source. The
variance plane is that of each pixel by itself; neighbours share inputs, so that the noise of a sum
over pixels is larger. `covariance_factor` says by how much for a measurement with a PSF.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._resample_kernel import warp_planes
from lsstpipe.algorithms.planes import Planes
from lsstpipe.geometry.box import Box
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.mask import MaskPlane

FloatArray = npt.NDArray[np.float64]
PixelMap = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
"""From rows and columns of the target to rows and columns of the source, absolute."""

_N_PHASES = 2048
_FIRST_STEP = 32
_MAP_TOLERANCE_PIX = 1e-4
_WEIGHT_FLOOR = 0.02
_N_PROBES = 48


@dataclass(frozen=True, slots=True)
class NodeGrid:
    """Where the pixels of a target box lie in the source, at the nodes of a coarse grid.

    Attributes
    ----------
    nodes
        Absolute row and column in the source, and area in source pixels, of every ``step``-th pixel
        of the target, shape ``(3, n_nodes_y, n_nodes_x)``; the last node of each axis is beyond
        the last pixel.
    step
        Distance of the nodes, target pixels.
    """

    nodes: FloatArray
    step: int


def lanczos_weights(order: int, phase: FloatArray) -> FloatArray:
    """Evaluate the Lanczos kernel at the taps around a point, normalised to sum 1.

    Parameters
    ----------
    order
        Number of taps on each side.
    phase
        Distance of the point from the tap at its left, in [0, 1], shape ``(n,)``.

    Returns
    -------
    weights
        Weights of the taps from ``order - 1`` to the left up to ``order`` to the right, shape
        ``(n, 2 * order)``.
    """
    offset = np.arange(1 - order, order + 1) - np.asarray(phase, dtype=np.float64)[:, None]
    inside = np.abs(offset) < order
    kernel = np.where(inside, np.sinc(offset) * np.sinc(offset / order), 0.0)
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True), dtype=np.float64)


def lanczos_table(order: int) -> FloatArray:
    """Tabulate the Lanczos kernel for linear interpolation in the phase.

    Parameters
    ----------
    order
        Number of taps on each side, 2 to 8.

    Returns
    -------
    table
        Weights at equal steps of the phase from 0 to 1, shape ``(n + 1, 2 * order)``.
    """
    if not 2 <= order <= 8:
        raise ValueError(f"the order of the Lanczos kernel must be 2 to 8, got {order}")
    return lanczos_weights(order, np.linspace(0.0, 1.0, _N_PHASES + 1))


def between(target: SkyWcs, source: SkyWcs) -> PixelMap:
    """Make the map from the pixels of one image to those of another through the sky.

    Parameters
    ----------
    target
        World coordinates of the image whose pixels are asked for.
    source
        World coordinates of the image in which they are to be found.

    Returns
    -------
    PixelMap
        The map.
    """

    def to_source(y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        return source.sky_to_pixel(*target.pixel_to_sky(y=y, x=x))

    return to_source


def node_grid(to_source: PixelMap, target: Box) -> NodeGrid:
    """Evaluate a map on a grid coarse enough to be quick and fine enough to interpolate.

    The step is halved until bilinear interpolation is right to 1e-4 pixel at the middle of every
    cell.

    Parameters
    ----------
    to_source
        The exact map.
    target
        Target pixels to cover, at least one.

    Returns
    -------
    NodeGrid
        Positions and areas at the nodes.
    """
    step = _FIRST_STEP
    while True:
        nodes_y = target.y0 + step * np.arange((target.ny - 1) // step + 3, dtype=np.float64)
        nodes_x = target.x0 + step * np.arange((target.nx - 1) // step + 3, dtype=np.float64)
        position = _map_grid(to_source, nodes_y, nodes_x)
        half = 0.5 * step
        middle = _map_grid(to_source, nodes_y[:-1] + half, nodes_x[:-1] + half)
        corners = position[:, :-1, :-1] + position[:, :-1, 1:]
        corners = corners + position[:, 1:, :-1] + position[:, 1:, 1:]
        error = np.abs(0.25 * corners - middle)
        if step == 1 or not np.any(error > _MAP_TOLERANCE_PIX):
            break
        step //= 2
    by_y: FloatArray = np.gradient(position, float(step), axis=1, edge_order=2)
    by_x: FloatArray = np.gradient(position, float(step), axis=2, edge_order=2)
    area = np.abs(by_y[0] * by_x[1] - by_y[1] * by_x[0])
    return NodeGrid(np.concatenate([position, area[None]]), step)


def _map_grid(to_source: PixelMap, y: FloatArray, x: FloatArray) -> FloatArray:
    rows, columns = np.meshgrid(y, x, indexing="ij")
    return np.stack(to_source(rows, columns))


def blank(target: Box) -> Planes:
    """Make planes without data: NaN, and NO_DATA in the mask.

    Parameters
    ----------
    target
        Their pixels.
    """
    nothing = np.full((2, *target.shape), np.nan, dtype=np.float32)
    mask = np.full(target.shape, int(MaskPlane.NO_DATA), dtype=np.int32)
    return Planes(nothing[0], nothing[1], mask, target.y0, target.x0)


def warp(planes: Planes, target: Box, to_source: PixelMap, *, order: int = 3) -> Planes:
    """Resample image, variance and mask to another pixel grid.

    Parameters
    ----------
    planes
        The source. Its image should have bad pixels interpolated, or else NaN there.
    target
        Pixels wanted, absolute coordinates of the target grid.
    to_source
        Map from target to source pixels; NaN where there is none.
    order
        Order of the Lanczos kernel (Duchon 1979): 3, or 5 for smaller errors and wider ringing.

    Returns
    -------
    Planes
        Image that conserves flux; variance of each pixel, without covariance; mask with every plane
        that is set on a tap of more than 2 % weight. Where a tap of that weight is NaN or outside
        the source, image and variance are NaN and the mask is NO_DATA.
    """
    out = blank(target)
    if target.n_pixels > 0:
        grid = node_grid(to_source, target)
        nodes = grid.nodes - np.array([planes.y0, planes.x0, 0.0])[:, None, None]
        source = (
            np.ascontiguousarray(planes.image),
            np.ascontiguousarray(planes.mask),
            np.ascontiguousarray(planes.variance),
        )
        planes_out = (out.image, out.mask, out.variance)
        warp_planes(source, nodes, grid.step, lanczos_table(order), _WEIGHT_FLOOR, planes_out)
    return out


def covariance_factor(
    to_source: PixelMap, target: Box, sigma_pix: float, *, order: int = 3
) -> float:
    """Find how much the variance plane of a warp understates the noise of a PSF flux.

    A PSF flux is a weighted sum of the target's pixels, hence of the source's, whose noise is
    independent: its variance follows exactly. It is compared with what the target's variance plane
    says, for a Gaussian PSF at some positions in the box.

    Parameters
    ----------
    to_source
        Map from target to source pixels.
    target
        Target pixels over which to average.
    sigma_pix
        Width of the PSF in target pixels.
    order
        Order of the Lanczos kernel.

    Returns
    -------
    factor
        True variance over that of the variance plane; multiply the plane by it. 1 where the map
        does not reach the source.
    """
    half = int(np.ceil(4.0 * sigma_pix))
    offset = np.arange(-half, half + 1.0)
    profile = np.exp(-0.5 * (offset / sigma_pix) ** 2)
    psf = profile[:, None] * profile[None, :]
    true_sum, plane_sum = 0.0, 0.0
    # A regular grid of probes could meet the same sub-pixel phase everywhere; this sequence cannot
    # (Roberts 2018: generalised golden ratio in two dimensions).
    fraction = np.outer(np.arange(1, _N_PROBES + 1), [0.7548776662466927, 0.5698402909980532]) % 1.0
    for y, x in np.floor(np.array([target.y0, target.x0]) + fraction * target.shape):
        rows, columns = np.meshgrid(y + offset, x + offset, indexing="ij")
        source_y, source_x = to_source(rows, columns)
        if np.all(np.isfinite(source_y) & np.isfinite(source_x)):
            true, plane = _two_variances(source_y, source_x, psf, order)
            true_sum, plane_sum = true_sum + true, plane_sum + plane
    return true_sum / plane_sum if plane_sum > 0.0 else 1.0


def _two_variances(
    y: FloatArray, x: FloatArray, psf: FloatArray, order: int
) -> tuple[float, float]:
    """Return the variance of a PSF sum, and what independent target pixels would give."""
    floor_y, floor_x = np.floor(y), np.floor(x)
    wy = lanczos_weights(order, (y - floor_y).ravel())
    wx = lanczos_weights(order, (x - floor_x).ravel())
    weights = wy[:, :, None] * wx[:, None, :] * psf.ravel()[:, None, None]
    taps = np.arange(1 - order, order + 1)
    rows = (floor_y - floor_y.min()).astype(np.int64).ravel()[:, None] + taps + order
    columns = (floor_x - floor_x.min()).astype(np.int64).ravel()[:, None] + taps + order
    on_source = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(on_source, (rows[:, :, None], columns[:, None, :]), weights)
    return float(np.sum(on_source**2)), float(np.sum(weights**2))
