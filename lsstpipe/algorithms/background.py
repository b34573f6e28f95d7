"""Sky background: a smooth surface through the clipped means of a mesh, sources left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import binary_dilation, distance_transform_edt, gaussian_filter, median_filter

from lsstpipe.algorithms._background_kernel import mesh_statistics
from lsstpipe.algorithms.grow import grow_pixels
from lsstpipe.algorithms.planes import Planes, typical_value
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.mask import INVALID, MaskArray, MaskPlane, has

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


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
    usable = np.isfinite(image) & ~has(mask, chosen.exclude)
    edges = tuple(_mesh_edges(n, chosen.mesh_size) for n in image.shape)
    filled = np.where(usable, image, 0.0).astype(np.float32)
    surface = np.zeros(image.shape, dtype=np.float32)
    level = np.zeros((len(edges[0]) - 1, len(edges[1]) - 1))
    good = usable
    for iteration in range(chosen.n_iterations + 1):
        # Fitting what is left takes the slope of the sky within a mesh out of its statistics.
        correction, rms = _mesh_statistics(filled - surface, good, edges)
        surface += _surface(correction, edges)
        level += correction
        if iteration < chosen.n_iterations:
            sources = _find_sources(filled - surface, usable, float(np.nanmedian(rms)), chosen)
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
    smooth = _surface(_mesh_statistics(planes.variance, sky, edges)[0], edges)
    floor = 0.1 * typical_value(planes.variance, sky)
    return np.maximum(smooth, np.float32(floor))


def _mesh_edges(n_pixels: int, mesh_size: int) -> npt.NDArray[np.int64]:
    """Divide an axis into meshes of nearly the same size."""
    n_meshes = max(1, round(n_pixels / mesh_size))
    return np.linspace(0, n_pixels, n_meshes + 1).round().astype(np.int64)


def _mesh_statistics(
    image: FloatImage, good: BoolArray, edges: tuple[npt.NDArray[np.int64], ...]
) -> tuple[FloatArray, FloatArray]:
    """Take the clipped mean and standard deviation of every mesh."""
    level, rms = mesh_statistics(image, good, edges[0], edges[1])
    if np.isnan(level).all():
        raise AlgorithmError("No mesh of the background has enough usable pixels.")
    return level, rms


def _surface(level: FloatArray, edges: tuple[npt.NDArray[np.int64], ...]) -> FloatImage:
    """Draw a smooth surface through the meshes."""
    empty = np.isnan(level)
    if empty.any():
        nearest = distance_transform_edt(empty, return_distances=False, return_indices=True)
        level = level[tuple(nearest)]
    smooth = _filtered(level)
    centers = []
    for axis, edge in enumerate(edges):
        center = 0.5 * (edge[1:] + edge[:-1] - 1)
        smooth = _continued(smooth, axis)
        step = np.diff(center)
        first, last = (step[0], step[-1]) if len(step) else (edge[-1], edge[-1])
        centers.append(np.concatenate([[center[0] - first], center, [center[-1] + last]]))
    degrees = [min(3, len(c) - 1) for c in centers]
    spline = RectBivariateSpline(centers[0], centers[1], smooth, kx=degrees[0], ky=degrees[1])
    ny, nx = (int(edge[-1]) for edge in edges)
    surface: FloatImage = spline(np.arange(ny), np.arange(nx)).astype(np.float32)
    return surface


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
    residual: FloatImage, usable: BoolArray, rms: float, settings: BackgroundSettings
) -> BoolArray:
    """Find what stands out of the background, smoothed, and grow it."""
    sigma = settings.source_sigma
    filled = np.where(usable, residual, 0.0).astype(np.float32)
    smooth = gaussian_filter(filled, sigma, mode="nearest", truncate=3.0)
    # Standard deviation of white noise after the smoothing.
    noise = rms / (2.0 * np.sqrt(np.pi) * sigma)
    found = np.abs(smooth) > settings.source_threshold * noise
    # Single specks of noise above the threshold would bias what is left of the sky.
    seed = np.abs(smooth) > (settings.source_threshold + 1.5) * noise
    return grow_pixels(_connected_to(found, seed), settings.source_growth)


def _connected_to(found: BoolArray, seed: BoolArray) -> BoolArray:
    """Keep the regions that hold a seed."""
    grown: BoolArray = binary_dilation(seed, np.ones((3, 3)), iterations=0, mask=found)
    return grown
