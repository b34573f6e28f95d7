"""Fluxes within circular apertures, and the local background around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sep

from lsstpipe.algorithms._aperture_kernel import ring_medians
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.mask import MaskPlane

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_UNUSABLE = MaskPlane.BAD | MaskPlane.NO_DATA | MaskPlane.UNMASKEDNAN


_LEAST = 20


@dataclass(frozen=True, slots=True, eq=False)
class ApertureFluxes:
    """Fluxes within circular apertures.

    Attributes
    ----------
    flux, error
        Flux and its standard error, shape ``(n, n_radii)``; NaN where the centre is off the image.
    flag
        True where an aperture is cut by the edge or the centre is off the image, ``(n, n_radii)``.
    has_masked
        True where pixels without a value were replaced by the mean of the rest, ``(n, n_radii)``.
    """

    flux: FloatArray
    error: FloatArray
    flag: BoolArray
    has_masked: BoolArray


def measure_apertures(
    planes: Planes, *, y: FloatArray, x: FloatArray, radii: tuple[float, ...]
) -> ApertureFluxes:
    """Sum the pixels within circles, with exact areas of the pixels at the rim.

    Parameters
    ----------
    planes
        Image without background, variance (sky, read noise and source) and mask.
    y, x
        Absolute positions, shape ``(n,)``.
    radii
        Radii in pixels.

    Returns
    -------
    ApertureFluxes
        Fluxes by source and radius.
    """
    # What a masked pixel holds is never looked at.
    masked = ~planes.usable(_UNUSABLE)
    image, variance = (
        np.ascontiguousarray(plane, dtype=np.float32) for plane in (planes.image, planes.variance)
    )
    row, column = np.asarray(y, np.float64) - planes.y0, np.asarray(x, np.float64) - planes.x0
    ny, nx = image.shape
    inside = (row > -0.5) & (column > -0.5) & (row < ny - 0.5) & (column < nx - 0.5)
    shape = (len(row), len(radii))
    flux, error = np.full(shape, np.nan), np.full(shape, np.nan)
    flag, has_masked = np.ones(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    for k, radius in enumerate(radii):
        flux[inside, k], error[inside, k], bits = sep.sum_circle(
            image, column[inside], row[inside], radius, var=variance, mask=masked, subpix=0
        )
        flag[inside, k] = (bits & (sep.APER_TRUNC | sep.APER_ALLMASKED)) != 0
        has_masked[inside, k] = (bits & sep.APER_HASMASKED) != 0
    return ApertureFluxes(flux, error, flag, has_masked)


def measure_annulus_background(
    planes: Planes, *, y: FloatArray, x: FloatArray, inner: float, outer: float
) -> FloatArray:
    """Measure what is left of the background in a ring around sources.

    Parameters
    ----------
    planes
        Image, variance and mask; pixels of detected sources should be marked DETECTED.
    y, x
        Absolute positions, shape ``(n,)``.
    inner, outer
        Radii of the ring in pixels.

    Returns
    -------
    numpy.ndarray
        Median of the ring's pixels that belong to no source, per pixel, shape ``(n,)``; 0 where
        fewer than 20 are left.
    """
    usable = planes.usable(_UNUSABLE | MaskPlane.DETECTED | MaskPlane.CR | MaskPlane.SAT)
    position = np.stack([np.asarray(y) - planes.y0, np.asarray(x) - planes.x0], axis=1)
    return ring_medians(
        planes.image.astype(np.float32), usable, position.astype(np.float64), (inner, outer), _LEAST
    )
