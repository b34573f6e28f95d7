"""Sky background: a smooth surface through the clipped means of a mesh, sources left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import BSpline, make_interp_spline
from scipy.ndimage import distance_transform_edt, median_filter

from lsstpipe.algorithms._background_kernel import add_surface, find_bright, mesh_statistics
from lsstpipe.algorithms._planes_kernel import finite_pixels
from lsstpipe.algorithms.grow import connected_to, grow
from lsstpipe.algorithms.planes import Planes
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.mask import INVALID, MaskArray, MaskPlane

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_REACH = 3.0
"""Standard deviations at which the smoothing of the search for sources ends."""
_SEED_EXCESS = 1.5
"""What a source must have more than the threshold somewhere, in standard deviations."""


@dataclass(frozen=True, slots=True)
class BackgroundSettings:
    """How to fit a background.

    Attributes
    ----------
    mesh_size
        Side of a mesh in pixels; structure much larger than this is taken off.
    n_iterations
        How often the sources are looked for and left out.
    source_threshold
        Smoothed pixels this many standard deviations above the background are sources.
    source_sigma
        Standard deviation of the smoothing in pixels, near that of the PSF.
    source_growth
        Sources are grown by this many pixels.
    exclude
        Mask planes whose pixels do not count.
    """

    mesh_size: int = 64
    n_iterations: int = 2
    source_threshold: float = 2.5
    source_sigma: float = 1.5
    source_growth: int = 6
    exclude: MaskPlane = INVALID | MaskPlane.DETECTED


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """A fitted background.

    Attributes
    ----------
    image
        The surface on every pixel, shape ``(ny, nx)``, in the unit of the image.
    mesh_level, mesh_rms
        Clipped mean and standard deviation about the surface of each mesh, shape
        ``(n_mesh_y, n_mesh_x)``; NaN where too few pixels were usable.
    level, rms
        Their medians.
    """

    image: FloatImage
    mesh_level: FloatArray
    mesh_rms: FloatArray
    level: float
    rms: float


def fit_background(
    image: FloatImage, mask: MaskArray, settings: BackgroundSettings | None = None
) -> Background:
    """Fit the sky under the sources of an image.

    Each mesh gives the mean of its usable pixels within 3 standard deviations; a 3x3 median takes
    out meshes that a bright source spoils, and a bicubic spline through their centres, continued in
    a straight line to the edge of the image, gives the surface. Sources found above a surface are
    left out of the next one (the scheme of Bertin & Arnouts 1996, A&AS 117, 393, section 4, with a
    mean instead of a mode because the sources are masked).

    Parameters
    ----------
    image
        Pixel values, shape ``(ny, nx)``.
    mask
        Bits of `MaskPlane`, shape ``(ny, nx)``.
    settings
        How to fit.

    Returns
    -------
    Background
        The surface and its meshes.

    Raises
    ------
    AlgorithmError
        If no mesh has enough usable pixels.
    """
    chosen = settings or BackgroundSettings()
    usable = finite_pixels(image, mask, int(chosen.exclude))
    edges = tuple(_mesh_edges(n, chosen.mesh_size) for n in image.shape)
    surface = np.zeros(image.shape, dtype=np.float32)
    level = np.zeros((len(edges[0]) - 1, len(edges[1]) - 1))
    good = usable
    for iteration in range(chosen.n_iterations + 1):
        # Fitting what is left takes the slope of the sky within a mesh out of its statistics.
        correction, rms = _mesh_statistics((image, surface), good, edges)
        _add_surface(surface, correction, edges)
        level += correction
        if iteration == chosen.n_iterations:
            break
        sources = _find_sources((image, surface), usable, float(np.nanmedian(rms)), chosen)
        good = usable & ~sources
    return Background(surface, level, rms, float(np.nanmedian(level)), float(np.nanmedian(rms)))


def estimate_sky_variance(planes: Planes, mesh_size: int = 64) -> FloatImage:
    """Estimate the variance without that of the sources.

    Parameters
    ----------
    planes
        Variance and mask with plane DETECTED set on the sources.
    mesh_size
        Side of the meshes between which the sky's variance is interpolated.

    Returns
    -------
    numpy.ndarray
        Variance of sky and read noise, shape ``(ny, nx)``.
    """
    sky = planes.usable(INVALID | MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE)
    edges = tuple(_mesh_edges(n, mesh_size) for n in sky.shape)
    smooth = np.zeros(sky.shape, dtype=np.float32)
    _add_surface(smooth, _mesh_statistics((planes.variance, None), sky, edges)[0], edges)
    some = (slice(None, None, 4), slice(None, None, 4))
    values = planes.variance[some][sky[some]]
    floor = 0.1 * float(np.median(values if len(values) else planes.variance[sky]))
    return np.maximum(smooth, np.float32(floor), out=smooth)


def _mesh_edges(n_pixels: int, mesh_size: int) -> IntArray:
    """Divide an axis into meshes of nearly the same size."""
    n_meshes = max(1, round(n_pixels / mesh_size))
    return np.linspace(0, n_pixels, n_meshes + 1).round().astype(np.int64)


def _mesh_statistics(
    image_and_surface: tuple[FloatImage, FloatImage | None],
    good: BoolArray,
    edges: tuple[IntArray, ...],
) -> tuple[FloatArray, FloatArray]:
    """Take the clipped mean and standard deviation of every mesh, less what is taken off."""
    level, rms = mesh_statistics(*image_and_surface, good, edges[0], edges[1])
    if np.isnan(level).all():
        raise AlgorithmError("No mesh of the background has enough usable pixels.")
    return level, rms


def _add_surface(surface: FloatImage, level: FloatArray, edges: tuple[IntArray, ...]) -> None:
    """Add a smooth surface through the meshes to an image, in place."""
    empty = np.isnan(level)
    if empty.any():
        nearest = distance_transform_edt(empty, return_distances=False, return_indices=True)
        level = level[tuple(nearest)]
    smooth = _filtered(level)
    for axis in (0, 1):
        smooth = _continued(smooth, axis)
    rows, columns = (_spline_through(edge) for edge in edges)
    # The spline is linear in the values of the meshes, and each row depends on four coefficients.
    across = rows.c @ smooth @ columns(np.arange(int(edges[1][-1]))).T
    weights = BSpline.design_matrix(np.arange(float(edges[0][-1])), rows.t, rows.k)
    n_weights = rows.k + 1
    add_surface(
        surface,
        weights.indices[::n_weights].astype(np.int64),
        weights.data.reshape(-1, n_weights),
        np.ascontiguousarray(across),
    )


def _spline_through(edge: IntArray) -> BSpline:
    """Make the spline that each mesh of an axis, and one beyond either end, adds."""
    center = 0.5 * (edge[1:] + edge[:-1] - 1)
    step = np.diff(center)
    first, last = (step[0], step[-1]) if len(step) else (edge[-1], edge[-1])
    knots = np.concatenate([[center[0] - first], center, [center[-1] + last]])
    return make_interp_spline(knots, np.eye(len(knots)), k=min(3, len(knots) - 1))


def _filtered(level: FloatArray) -> FloatArray:
    """Replace meshes that stand out from their neighbours by the median of these."""
    if min(level.shape) < 3:
        return level
    # Against the straight continuation at the edges a gradient does not look like an outlier.
    padded = _continued(_continued(level, 0), 1)
    smooth = median_filter(padded, size=3)[1:-1, 1:-1]
    deviation = level - smooth
    width = 1.4826 * np.median(np.abs(deviation))
    result: FloatArray = np.where(np.abs(deviation) > 4.0 * width, smooth, level)
    return result


def _continued(level: FloatArray, axis: int) -> FloatArray:
    """Add one mesh on either side of an axis in a straight line."""
    moved = np.moveaxis(level, axis, 0)
    if len(moved) == 1:
        joined = np.concatenate([moved, moved, moved])
    else:
        before, after = 2 * moved[:1] - moved[1:2], 2 * moved[-1:] - moved[-2:-1]
        joined = np.concatenate([before, moved, after])
    return np.moveaxis(joined, 0, axis)


def _find_sources(
    image_and_surface: tuple[FloatImage, FloatImage],
    usable: BoolArray,
    rms: float,
    settings: BackgroundSettings,
) -> BoolArray:
    """Find what stands out of the background, smoothed, and grow it."""
    sigma = settings.source_sigma
    offset = np.arange(int(_REACH * sigma + 0.5) + 1)
    weights = np.exp(-0.5 * offset**2 / sigma**2)
    weights /= 2.0 * weights.sum() - weights[0]
    # Standard deviation of white noise after the smoothing.
    noise = rms / (2.0 * np.sqrt(np.pi) * sigma)
    limit = settings.source_threshold
    # Single specks of noise above the threshold would bias what is left of the sky.
    limits = (float(limit * noise), float((limit + _SEED_EXCESS) * noise))
    found, seed = find_bright(*image_and_surface, usable, weights, limits)
    return grow(connected_to(found, seed), settings.source_growth)
