"""Measure detected sources: position, fluxes, shape, flags, each without its neighbours' light."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._window_kernel import bits_near
from lsstpipe.algorithms.aperture import measure_apertures
from lsstpipe.algorithms.detect import Detection
from lsstpipe.algorithms.forced import ForcedSettings, fit_psf, unbias_fitted_fluxes
from lsstpipe.algorithms.isolate import (
    HALF_SIZE,
    share_blends,
    subtract_neighbours,
    subtract_sources,
)
from lsstpipe.algorithms.moments import Moments, measure_moments, psf_moments
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.columns import APERTURE_NAMES, APERTURE_RADII, PIXEL_FLAG_NAMES
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.image.psf import Psf, nearest_pixel

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Columns = dict[str, npt.NDArray[np.generic]]

_FOOTPRINT = 7
_CENTER = 3

_FLAG_PLANES = {
    "pixelFlags_bad": (MaskPlane.BAD, _FOOTPRINT),
    "pixelFlags_cr": (MaskPlane.CR, _FOOTPRINT),
    "pixelFlags_edge": (MaskPlane.EDGE, _CENTER),
    "pixelFlags_interpolated": (MaskPlane.INTRP, _FOOTPRINT),
    "pixelFlags_interpolatedCenter": (MaskPlane.INTRP, _CENTER),
    "pixelFlags_nodata": (MaskPlane.NO_DATA, _FOOTPRINT),
    "pixelFlags_saturated": (MaskPlane.SAT, _FOOTPRINT),
    "pixelFlags_saturatedCenter": (MaskPlane.SAT, _CENTER),
    "pixelFlags_suspect": (MaskPlane.SUSPECT, _FOOTPRINT),
}


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """How to measure.

    Attributes
    ----------
    forced
        How the PSF is fitted.
    max_star_excess
        A source wider than the PSF by more than this fraction, and significantly so, is extended.
    deblend
        Whether the light of a footprint is shared by the deblender, as extended sources need;
        otherwise the neighbours' PSFs are taken off, which is quicker.
    """

    forced: ForcedSettings = field(default_factory=ForcedSettings)
    max_star_excess: float = 0.12
    deblend: bool = False


def measure_sources(
    planes: Planes,
    psf: Psf,
    *,
    detection: Detection,
    sky_variance: FloatImage,
    settings: MeasureSettings | None = None,
) -> Columns:
    """Measure sources at their peaks.

    Positions and PSF fluxes of all sources are fitted together, and the fluxes freed of the bias
    that a fitted position brings. Apertures and moments are measured
    on the light that is left to each source: after the PSFs of all others are taken off, or after
    the deblender has shared the light of its footprint.

    Parameters
    ----------
    planes
        Image without background, variance and mask.
    psf
        PSF in absolute coordinates.
    detection
        The peaks and their footprints.
    sky_variance
        Variance of sky and read noise, shape ``(ny, nx)``.
    settings
        How to measure.

    Returns
    -------
    dict
        Columns that `SOURCE` and `OBJECT` have in common, in the units of the image.
    """
    chosen = settings or MeasureSettings()
    fit = fit_psf(
        planes,
        psf,
        y=detection.y,
        x=detection.x,
        sky_variance=sky_variance,
        settings=chosen.forced,
    )
    if chosen.deblend:
        mosaic = share_blends(planes, psf, detection, fit)
    else:
        mosaic = subtract_neighbours(subtract_sources(planes, psf, fit))
    center_y, center_x = mosaic.y, mosaic.x
    raw, error = fit.fluxes.flux, fit.fluxes.error
    apertures = measure_apertures(mosaic.planes, y=center_y, x=center_x, radii=APERTURE_RADII)
    columns: Columns = {
        "x": fit.x,
        "y": fit.y,
        "xErr": fit.x_error,
        "yErr": fit.y_error,
        "centroid_flag": fit.flag,
        "psfFlux": np.where(fit.flag, raw, unbias_fitted_fluxes(raw, error)),
        "psfFluxErr": error,
        "psfFlux_flag": fit.fluxes.flag,
    }
    outside = fit.fluxes.off_image
    for k, name in enumerate(APERTURE_NAMES):
        columns[f"{name}Flux"] = np.where(outside, np.nan, apertures.flux[:, k])
        columns[f"{name}FluxErr"] = np.where(outside, np.nan, apertures.error[:, k])
        columns[f"{name}Flux_flag"] = apertures.flag[:, k] | apertures.has_masked[:, k] | outside
    start = float(np.median([psf.sigma(y=float(a), x=float(b)) for a, b in _sample(planes)]))
    moments = measure_moments(
        mosaic.planes, y=center_y, x=center_x, psf_sigma=start, half_size=HALF_SIZE
    )
    of_psf = psf_moments(psf, y=np.nan_to_num(fit.y), x=np.nan_to_num(fit.x))
    columns |= _shapes(moments, of_psf)
    significance = raw / error
    columns["extendedness"] = _extendedness(moments, of_psf, significance, chosen)
    return columns | flag_pixels(planes, y=fit.y, x=fit.x, at_edge=fit.fluxes.edge)


def flag_pixels(
    planes: Planes, *, y: FloatArray, x: FloatArray, at_edge: BoolArray
) -> dict[str, npt.NDArray[np.generic]]:
    """Tell what the mask says of the pixels of sources.

    Parameters
    ----------
    planes
        Their mask.
    y, x
        Absolute positions, shape ``(n,)``; off the image all flags but ``edge`` and ``nodata`` are
        clear.
    at_edge
        Sources that are known to be cut by the edge of the image.

    Returns
    -------
    dict
        Boolean columns by the names of `PIXEL_FLAG_NAMES`.
    """
    ny, nx = planes.mask.shape
    row = nearest_pixel(np.nan_to_num(y, nan=-1e9)) - planes.y0
    column = nearest_pixel(np.nan_to_num(x, nan=-1e9)) - planes.x0
    inside = (row >= 0) & (row < ny) & (column >= 0) & (column < nx)
    pixels = np.stack([row, column], axis=1)
    near = {
        size: np.where(inside, bits_near(planes.mask, pixels, size // 2), np.int32(0))
        for size in (_FOOTPRINT, _CENTER)
    }
    flags: Columns = {}
    for name in PIXEL_FLAG_NAMES:
        plane, size = _FLAG_PLANES[name]
        flags[name] = has(near[size], plane)
    flags["pixelFlags_edge"] = flags["pixelFlags_edge"].astype(bool) | at_edge | ~inside
    flags["pixelFlags_nodata"] = flags["pixelFlags_nodata"].astype(bool) | ~inside
    return flags


def _sample(planes: Planes) -> list[tuple[float, float]]:
    """Choose the centre and the corners of an image."""
    ny, nx = planes.image.shape
    return [
        (planes.y0 + fy * (ny - 1), planes.x0 + fx * (nx - 1))
        for fy, fx in ((0.5, 0.5), (0.1, 0.1), (0.1, 0.9), (0.9, 0.1), (0.9, 0.9))
    ]


def _shapes(of_source: Moments, of_psf: Moments) -> Columns:
    """Name the moments as the schema does."""
    return {
        f"{name}{suffix}": getattr(moments, name)
        for moments, suffix in ((of_source, ""), (of_psf, "PSF"))
        for name in ("ixx", "iyy", "ixy")
    }


def _extendedness(
    of_source: Moments, of_psf: Moments, significance: FloatArray, settings: MeasureSettings
) -> FloatArray:
    """Compare the size of sources with that of the PSF; NaN where it is not measured."""
    size = np.sqrt((of_source.ixx + of_source.iyy) / 2)
    expected = np.sqrt((of_psf.ixx + of_psf.iyy) / 2)
    # The error of an adaptive size is about size / significance (Bernstein & Jarvis 2002,
    # section 3).
    allowed = settings.max_star_excess + 3.0 / np.maximum(significance, 1.0)
    excess = size / expected - 1
    return np.where(np.isfinite(excess), (excess > allowed).astype(np.float64), np.nan)
