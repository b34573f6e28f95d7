"""Growth of stars' fluxes with the aperture, beyond the stamps on which sources are measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.aperture import ApertureFluxes, measure_apertures
from lsstpipe.algorithms.isolate import find_lost
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.psf import Psf, nearest_pixel

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

_RIM_PIX = 2


def measure_growth(
    planes: Planes,
    psf: Psf,
    *,
    position: FloatArray,
    flux: FloatArray,
    stars: IntArray,
    radii: tuple[float, ...],
) -> ApertureFluxes:
    """Sum the light of stars within large circles, without that of their neighbours.

    Photometric standards are defined by apertures of 7 arcsec radius (Landolt 1992, AJ 104, 340,
    section 2), which hold all but a little of a star's light whatever the seeing. Pixels that were
    not measured take the value of the star's own PSF: few circles as large are without any.

    Parameters
    ----------
    planes
        Image without background, variance and mask.
    psf
        PSF in absolute coordinates.
    position
        Absolute y and x of all sources, shape ``(n, 2)``; far away where there is none.
    flux
        Their PSF fluxes, shape ``(n,)``; one that is not finite is not taken off.
    stars
        Numbers of the sources that are measured.
    radii
        Radii in pixels.

    Returns
    -------
    ApertureFluxes
        One row a star.
    """
    models = psf.stamps(y=position[:, 0], x=position[:, 1])
    models *= np.where(np.isfinite(flux), flux, 0.0)[:, None, None]
    corner = nearest_pixel(position) - psf.size // 2 - (planes.y0, planes.x0)
    left = planes.image.astype(np.float32).copy()
    for model, (top, side) in zip(models, corner.tolist(), strict=True):
        _add(left, -model, top, side)
    lost = find_lost(planes.mask)
    left[lost] = 0.0
    clean = replace(planes, image=left, mask=np.where(lost, np.int32(0), planes.mask))
    half = int(np.ceil(max(radii))) + _RIM_PIX
    rows = []
    for star in stars.tolist():
        around = _cut(clean, position[star], half)
        top, side = corner[star] + (planes.y0 - around.y0, planes.x0 - around.x0)
        _add(around.image, models[star], int(top), int(side))
        y, x = position[star, :1], position[star, 1:]
        rows.append(measure_apertures(around, y=y, x=x, radii=radii))
    nothing = np.empty((0, len(radii)))
    return ApertureFluxes(
        flux=np.concatenate([nothing, *(r.flux for r in rows)]),
        error=np.concatenate([nothing, *(r.error for r in rows)]),
        flag=np.concatenate([nothing, *(r.flag for r in rows)]).astype(bool),
        has_masked=np.concatenate([nothing, *(r.has_masked for r in rows)]).astype(bool),
    )


def _cut(planes: Planes, position: FloatArray, half: int) -> Planes:
    """Copy the surroundings of a star."""
    row, column = (nearest_pixel(position) - (planes.y0, planes.x0)).tolist()
    top, side = max(row - half, 0), max(column - half, 0)
    own = np.s_[top : max(row + half + 1, 0), side : max(column + half + 1, 0)]
    return Planes(
        planes.image[own].copy(),
        planes.variance[own].copy(),
        planes.mask[own].copy(),
        planes.y0 + top,
        planes.x0 + side,
    )


def _add(image: FloatImage, stamp: FloatArray, top: int, side: int) -> None:
    """Add a stamp to an image in place, as far as it lies on it."""
    ny, nx = image.shape
    y0, x0 = max(top, 0), max(side, 0)
    y1, x1 = min(top + stamp.shape[0], ny), min(side + stamp.shape[1], nx)
    if y0 < y1 and x0 < x1:
        image[y0:y1, x0:x1] += stamp[y0 - top : y1 - top, x0 - side : x1 - side].astype(np.float32)
