"""Leave each source its own light: stamps without the neighbours, laid side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lsstpipe.algorithms._forced_kernel import subtract
from lsstpipe.algorithms._window_kernel import cut_mask, cut_windows
from lsstpipe.algorithms.aperture import measure_annulus_background
from lsstpipe.algorithms.deblend import Blend, deblend
from lsstpipe.algorithms.detect import Detection
from lsstpipe.algorithms.forced import PsfPositions
from lsstpipe.algorithms.planes import Planes
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.image.psf import Psf, nearest_pixel

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

HALF_SIZE = 15
"""Half side of a stamp in pixels; the largest aperture and its rim must fit."""

_SIZE = 2 * HALF_SIZE + 1

_REPLACEABLE = MaskPlane.BAD | MaskPlane.CR | MaskPlane.INTRP | MaskPlane.UNMASKEDNAN


def find_lost(mask: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Find the pixels that were not measured, but that a source's own PSF may stand in for.

    Parameters
    ----------
    mask
        Bits of `MaskPlane`. Saturated pixels and those beyond the image are not among them.
    """
    return has(mask, _REPLACEABLE) & ~has(mask, MaskPlane.SAT | MaskPlane.NO_DATA)


@dataclass(frozen=True, slots=True, eq=False)
class Mosaic:
    """Stamps of many sources above each other, so that one call measures all.

    Attributes
    ----------
    planes
        Image, variance and mask, shape ``(n * size, size)``; NO_DATA where a stamp leaves the
        image.
    y, x
        Position of each source on the mosaic, shape ``(n,)``.
    """

    planes: Planes
    y: FloatArray
    x: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Subtracted:
    """An image without its sources.

    Attributes
    ----------
    planes
        What is left of the image, its variance and mask.
    models
        PSF of each source times its flux, shape ``(n, s, s)``.
    position
        Absolute row and column of each source, shape ``(n, 2)``; far away where there is none.
    """

    planes: Planes
    models: FloatArray
    position: FloatArray


def subtract_sources(planes: Planes, psf: Psf, fit: PsfPositions) -> Subtracted:
    """Take the PSFs of all sources off an image.

    Parameters
    ----------
    planes
        Image without background, variance and mask.
    psf
        PSF in absolute coordinates.
    fit
        Positions and fluxes of all sources.
    """
    flux = np.where(np.isfinite(fit.fluxes.flux), fit.fluxes.flux, 0.0)
    position = _positions(fit)
    models = psf.stamps(y=position[:, 0], x=position[:, 1]) * flux[:, None, None]
    corner = nearest_pixel(position) - psf.size // 2 - (planes.y0, planes.x0)
    residual = planes.image.astype(np.float32)
    subtract(residual, models.astype(np.float32), corner, np.ones(len(models)))
    return Subtracted(replace(planes, image=residual), models, position)


def subtract_neighbours(subtracted: Subtracted) -> Mosaic:
    """Give each source its own PSF back on what is left without all of them.

    Pixels that were not measured, but are not saturated, take the value of the source's own PSF.

    Parameters
    ----------
    subtracted
        The image without its sources.
    """
    planes = subtracted.planes
    lost = find_lost(planes.mask)
    image = np.where(lost, np.float32(0), planes.image)
    mask = np.where(lost, planes.mask & ~np.int32(_REPLACEABLE), planes.mask)
    mosaic = _lay_out(image, replace(planes, mask=mask), subtracted.position)
    stamps = mosaic.planes.image.reshape(-1, _SIZE, _SIZE)
    margin = HALF_SIZE - subtracted.models.shape[1] // 2
    outer = slice(max(margin, 0), _SIZE - max(margin, 0))
    inner = slice(max(-margin, 0), subtracted.models.shape[1] - max(-margin, 0))
    stamps[:, outer, outer] += subtracted.models[:, inner, inner].astype(np.float32)
    return mosaic


def local_background(subtracted: Subtracted, *, radius: float) -> FloatArray:
    """Measure what is left around each source when the PSFs of all sources are taken off.

    Parameters
    ----------
    subtracted
        The image without its sources.
    radius
        Pixels within this distance count.

    Returns
    -------
    numpy.ndarray
        Median per pixel, shape ``(n,)``.
    """
    planes = subtracted.planes
    left = replace(planes, mask=planes.mask & ~np.int32(MaskPlane.DETECTED))
    y, x = subtracted.position.T
    return measure_annulus_background(left, y=y, x=x, inner=0.0, outer=radius)


def share_blends(planes: Planes, psf: Psf, detection: Detection, fit: PsfPositions) -> Mosaic:
    """Share the light of each footprint among its peaks by the deblender.

    Parameters
    ----------
    planes
        Image without background, variance and mask.
    psf
        PSF in absolute coordinates.
    detection
        Peaks and footprints.
    fit
        Positions of the peaks.

    Notes
    -----
    A footprint with more peaks than the deblender takes is left whole.
    """
    position = _positions(fit)
    image = np.where(np.isfinite(planes.image), planes.image, np.float32(0))
    mosaic = _lay_out(image, planes, position)
    corner = nearest_pixel(position) - HALF_SIZE - (planes.y0, planes.x0)
    labels = detection.labels
    footprint = detection.footprint_in(labels)
    outlines = ndimage.find_objects(labels)
    n_peaks = np.bincount(footprint, minlength=len(outlines) + 1)
    order = np.argsort(footprint, kind="stable")
    for label in np.flatnonzero(n_peaks[1:] > 0) + 1:
        first = np.searchsorted(footprint[order], label)
        peaks = order[first : first + n_peaks[label]]
        region = outlines[label - 1]
        inside = labels[region] == label
        children = _children(planes, psf, position[peaks], region, inside)
        for child, peak in zip(children, peaks, strict=True):
            stamp = mosaic.planes.image[peak * _SIZE : (peak + 1) * _SIZE]
            _clear_footprints(stamp, labels, corner[peak])
            top, left = region[0].start - corner[peak, 0], region[1].start - corner[peak, 1]
            _add(stamp, child, int(top), int(left))
    return mosaic


def _children(
    planes: Planes,
    psf: Psf,
    position: FloatArray,
    region: tuple[slice, slice],
    inside: npt.NDArray[np.bool_],
) -> FloatImage:
    """Deblend one footprint; each child has the shape of its bounding box."""
    image = np.where(np.isfinite(planes.image[region]), planes.image[region], 0.0)
    whole = np.where(inside, image, 0.0).astype(np.float32)
    if len(position) == 1:
        return whole[None]
    blend = Blend(
        image[None].astype(np.float64),
        planes.variance[region][None].astype(np.float64),
        inside,
        planes.y0 + region[0].start,
        planes.x0 + region[1].start,
    )
    stamps = psf.stamps(y=position[:, 0], x=position[:, 1])[:, None]
    try:
        return deblend(blend, position, stamps).children[:, 0]
    except AlgorithmError:
        return np.repeat(whole[None], len(position), axis=0)


def _positions(fit: PsfPositions) -> FloatArray:
    """Stack the positions; far away where there is none."""
    position = np.stack([fit.y, fit.x], axis=1)
    return np.where(np.isfinite(position), position, -1e6)


def _lay_out(image: FloatImage, planes: Planes, position: FloatArray) -> Mosaic:
    """Cut the stamps of all sources out of an image."""
    n = len(position)
    corner = nearest_pixel(position) - HALF_SIZE - (planes.y0, planes.x0)
    flat = (n * _SIZE, _SIZE)
    offset = position - nearest_pixel(position)
    return Mosaic(
        Planes(
            cut_windows(image, corner, _SIZE, 0.0).reshape(flat),
            cut_windows(planes.variance, corner, _SIZE, 0.0).reshape(flat),
            cut_mask(planes.mask, corner, _SIZE, int(MaskPlane.NO_DATA)).reshape(flat),
        ),
        np.arange(n) * _SIZE + HALF_SIZE + offset[:, 0],
        HALF_SIZE + offset[:, 1],
    )


def _clear_footprints(stamp: FloatImage, labels: npt.NDArray[np.int32], corner: IntArray) -> None:
    """Set the pixels of all footprints on a stamp to zero, in place."""
    found = _overlap(labels.shape, int(corner[0]), int(corner[1]), _SIZE, _SIZE)
    if found is not None:
        inner, outer = found
        stamp[outer][labels[inner] > 0] = 0.0


_Slices = tuple[slice, slice]


def _overlap(
    shape: tuple[int, ...], top: int, left: int, ny: int, nx: int
) -> tuple[_Slices, _Slices] | None:
    """Find where a stamp lies on an image, and that part of the stamp; None if nowhere."""
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + ny, shape[0]), min(left + nx, shape[1])
    if y0 >= y1 or x0 >= x1:
        return None
    return (
        (slice(y0, y1), slice(x0, x1)),
        (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)),
    )


def _add(image: FloatImage, stamp: npt.NDArray[np.floating], top: int, left: int) -> None:
    """Add a stamp to an image in place, as far as it lies on it."""
    found = _overlap(image.shape, top, left, stamp.shape[0], stamp.shape[1])
    if found is not None:
        inner, outer = found
        image[inner] += stamp[outer].astype(np.float32)
