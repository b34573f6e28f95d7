"""The products of a calibrated visit image: the image, its catalogue, its summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._window_kernel import bits_near
from lsstpipe.algorithms.background import Background
from lsstpipe.algorithms.depth import limiting_magnitude
from lsstpipe.algorithms.epoch_offset import fit_epoch_offset
from lsstpipe.algorithms.frame_solution import AstrometrySolution
from lsstpipe.algorithms.measure_sources import Columns
from lsstpipe.algorithms.photometry import ZeroPoint, ZeroPointVariation
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.psf_model import PsfFit
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.aperture_correction import ApertureCorrection
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.columns import APERTURE_NAMES, SOURCE
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.image.photocalib import PhotoCalib
from lsstpipe.image.psf import FWHM_PER_SIGMA, nearest_pixel
from lsstpipe.image.reference import has_motions
from lsstpipe.packed_ids import first_source_id
from lsstpipe.tasks.base import Json, get_info, plain

_MARGIN_PIX = 12
_SATURATION_BOX_PIX = 7

_FLUXES = ("psf", *APERTURE_NAMES)
_COLUMNS_OF_FLAGS = (
    "calib_psf_candidate",
    "calib_psf_used",
    "calib_psf_reserved",
    "calib_astrometry_used",
    "calib_photometry_used",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found out about a visit image, in electrons."""

    planes: Planes
    background: Background
    psf_fit: PsfFit
    correction: ApertureCorrection
    sources: Columns
    solution: AstrometrySolution
    reference: Catalog
    zero_point: ZeroPoint
    variation: ZeroPointVariation

    @property
    def psf_sigma_pix(self) -> float:
        """Width of the PSF at the centre of the image, pixels."""
        ny, nx = self.planes.image.shape
        return self.psf_fit.psf.sigma(y=ny / 2, x=nx / 2)


def make_visit_image(exposure: Exposure, measured: Measured, scale: float) -> Exposure:
    """Put the calibrated image together, in nJy.

    Parameters
    ----------
    exposure
        The image as it came, in electrons.
    measured
        What was found out about it.
    scale
        nJy per electron.
    """
    planes = measured.planes
    return replace(
        exposure,
        image=planes.image * np.float32(scale),
        variance=planes.variance * np.float32(scale**2),
        mask=planes.mask,
        unit="nJy",
        psf=measured.psf_fit.psf,
        wcs=measured.solution.fit.wcs,
        photo_calib=PhotoCalib(1.0, measured.zero_point.err_mag * np.log(10) / 2.5),
        aperture_correction=measured.correction,
        metadata={**exposure.metadata, "nanojansky_per_electron": scale},
    )


def make_source_catalog(
    columns: Columns, used: Mapping[str, npt.NDArray[np.int64]], image: Exposure, scale: float
) -> Catalog:
    """Make the source catalogue of a visit image.

    Parameters
    ----------
    columns
        What `measure_sources` gave, in electrons, with ``snr``, ``factor`` and ``sky``.
    used
        Row numbers of the sources that each calibration used, by column name.
    image
        The calibrated image.
    scale
        nJy per electron.
    """
    info, wcs = get_info(image), image.wcs
    if wcs is None:
        raise ValueError("A visit image needs a WCS before its sources can be placed.")
    n = len(columns["x"])
    y, x = columns["y"].astype(np.float64), columns["x"].astype(np.float64)
    ra, dec = wcs.pixel_to_sky(y=y, x=x)
    first = first_source_id(visit=info.exposure, detector=info.detector)
    ra_err, dec_err = _sky_errors(wcs, columns)
    flags = {name: np.isin(np.arange(n), used[name]) for name in _COLUMNS_OF_FLAGS}
    own = {name: values for name, values in columns.items() if name in SOURCE.names()}
    for name in _FLUXES:
        for suffix in ("Flux", "FluxErr"):
            own[f"{name}{suffix}"] = columns[f"{name}{suffix}"].astype(np.float64) * scale
    edge = columns["pixelFlags_edge"].astype(bool)
    return Catalog(
        SOURCE,
        {
            **own,
            **flags,
            "sourceId": first + 1 + np.arange(n),
            "visit": np.full(n, info.exposure),
            "detector": np.full(n, info.detector),
            "band": np.full(n, info.band),
            "parentSourceId": np.zeros(n),
            "ra": ra,
            "dec": dec,
            "raErr": ra_err,
            "decErr": dec_err,
            "psfFlux_apCorr": columns["factor"],
            "sky": columns["sky"].astype(np.float64) * scale,
            "detect_isPrimary": ~edge,
            "deblend_nChild": np.zeros(n),
        },
    )


def summarise(measured: Measured, exposure: Exposure) -> Json:
    """Say how the calibration of a visit image went.

    Parameters
    ----------
    measured
        What was found out about it.
    exposure
        The image as it came, in electrons.
    """
    columns = measured.sources
    info, wcs = get_info(exposure), measured.solution.fit.wcs
    sigma = measured.psf_sigma_pix
    ny, nx = exposure.image.shape
    corners = wcs.pixel_to_sky(
        y=[-0.5, -0.5, ny - 0.5, ny - 0.5], x=[-0.5, nx - 0.5, nx - 0.5, -0.5]
    )
    mask = measured.planes.mask
    return {
        "instrument": info.instrument,
        "visit": info.exposure,
        "detector": info.detector,
        "physical_filter": info.physical_filter,
        "band": info.band,
        "mid_mjd": info.mid_mjd,
        "exposure_time_s": info.exposure_time_s,
        "airmass": plain(info.airmass),
        "n_source": len(columns["x"]),
        "psf_sigma_pix": sigma,
        "psf_fwhm_pix": sigma * FWHM_PER_SIGMA,
        "psf_fwhm_arcsec": sigma * FWHM_PER_SIGMA * wcs.pixel_scale_arcsec,
        "sky_electron": measured.background.level,
        "sky_noise_electron": measured.background.rms,
        "read_noise_electron": exposure.metadata.get("read_noise_electron"),
        "n_cosmic_ray_pixels": int(has(mask, MaskPlane.CR).sum()),
        "n_saturated_pixels": int(has(mask, MaskPlane.SAT).sum()),
        "n_bad_pixels": int(has(mask, MaskPlane.BAD).sum()),
        **_summarise_psf(measured.psf_fit),
        "astrometry": _summarise_astrometry(measured, exposure),
        "photometry": {
            "zero_point_mag": measured.zero_point.zero_point_mag,
            "zero_point_err_mag": plain(measured.zero_point.err_mag),
            "scatter_mag": plain(measured.zero_point.scatter_mag),
            "n_used": int(measured.zero_point.used.sum()),
            "variation_mag": plain(measured.variation.rms_mag),
            "is_varying": measured.variation.is_varying,
        },
        "aperture_correction": {
            "mean": float(measured.correction.factor(y=ny / 2, x=nx / 2)),
            "rms_mmag": 2500 / np.log(10) * measured.correction.error,
        },
        "magnitude_limit": _magnitude_limit(measured),
        "corners": np.stack(corners, axis=1).tolist(),
        "wcs": wcs.to_json_dict(),
    }


def _sky_errors(
    wcs: SkyWcs, columns: Columns
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Carry errors of pixel positions to the sky, degrees along ra times cos(dec) and dec."""
    (a, b), (c, d) = wcs.cd
    x_err, y_err = columns["xErr"].astype(np.float64), columns["yErr"].astype(np.float64)
    return np.hypot(a * x_err, b * y_err), np.hypot(c * x_err, d * y_err)


def _summarise_psf(fit: PsfFit) -> Json:
    """Say how well the PSF describes its stars."""
    reserved = fit.is_reserved
    return {
        "n_psf_used": int(fit.is_used.sum()),
        "n_psf_reserved": int(reserved.sum()),
        "psf_chi2_reserved": _median(fit.chi2_per_pixel[reserved]),
        "psf_stars": {
            "y": plain(fit.y, 2),
            "x": plain(fit.x, 2),
            "size_residual": plain(fit.size_residual / 2, 5),
            "e1_residual": plain(fit.e1_residual, 5),
            "e2_residual": plain(fit.e2_residual, 5),
            "is_reserved": reserved.tolist(),
        },
    }


def _median(values: npt.NDArray[np.float64]) -> float | None:
    """Take the median for JSON; None where there are no values."""
    return plain(np.median(values)) if len(values) else None


def _summarise_astrometry(measured: Measured, exposure: Exposure) -> Json:
    """Say how well the reference stars fit."""
    solution = measured.solution
    fit, used = solution.fit, solution.fit.used
    (a, b), (c, d) = fit.wcs.cd
    y, x = fit.wcs.sky_to_pixel(measured.reference["ra"], measured.reference["dec"])
    matchable = _find_matchable(exposure, y=y, x=x)
    own_y, own_x = (measured.sources[axis][solution.detection] for axis in ("y", "x"))
    return {
        "n_matched": int(used.sum()),
        "n_in_frame": int(matchable.sum()),
        "n_in_frame_matched": int(matchable[solution.reference].sum()),
        "rms_y_pix": fit.rms_y_pix,
        "rms_x_pix": fit.rms_x_pix,
        "rms_arcsec": float(np.hypot(*fit.rms_arcsec) / np.sqrt(2)),
        "order": fit.order,
        "mirrored": bool(a * d - b * c > 0),
        "rotation_deg": float(np.rad2deg(np.arctan2(b, d))),
        "pixel_scale_arcsec": fit.wcs.pixel_scale_arcsec,
        "y": plain(own_y[used], 2),
        "x": plain(own_x[used], 2),
        "dy_pix": plain(fit.residual_y[used], 4),
        "dx_pix": plain(fit.residual_x[used], 4),
        **_check_epoch(measured),
    }


def _check_epoch(measured: Measured) -> Json:
    """Say whether the stars are where the date of the catalogue puts them."""
    reference, solution = measured.reference, measured.solution
    if not has_motions(reference):
        return {"epoch_offset_yr": None, "epoch_offset_err_yr": None, "is_epoch_wrong": False}
    fit, used = solution.fit, solution.fit.used
    pixels = np.stack([fit.residual_x, fit.residual_y], axis=1)[used]
    rows = solution.reference[used]
    motion = np.stack([reference["pmRa"][rows], reference["pmDec"][rows]], axis=1)
    found = fit_epoch_offset(pixels @ np.array(fit.wcs.cd).T * 3.6e6, motion)
    return {
        "epoch_offset_yr": plain(found.years, 3),
        "epoch_offset_err_yr": plain(found.error, 3),
        "is_epoch_wrong": found.is_wrong,
    }


def _find_matchable(
    exposure: Exposure, *, y: npt.NDArray[np.float64], x: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Find the reference stars that a good solution must match.

    Those are inside the frame by more than the reach of a detection, and not saturated.
    """
    inner = exposure.box.grown(-_MARGIN_PIX)
    inside = inner.contains(y=y, x=x)
    index = np.flatnonzero(inside)
    pixels = nearest_pixel(np.stack([y[index], x[index]], axis=1))
    corner = (exposure.box.y0, exposure.box.x0)
    near = bits_near(exposure.mask, pixels - corner, _SATURATION_BOX_PIX // 2)
    inside[index[has(near, MaskPlane.SAT)]] = False
    return inside


def _magnitude_limit(measured: Measured) -> float:
    """Find the five-sigma depth from the errors of the faint sources."""
    columns = measured.sources
    flux = columns["psfFlux"].astype(np.float64)
    error = columns["psfFluxErr"].astype(np.float64)
    good = (flux < 20 * error) & ~columns["psfFlux_flag"].astype(bool)
    typical = float(np.median(error[good])) if good.any() else float(np.nanmedian(error))
    unit = 10 ** (0.4 * (31.4 - measured.zero_point.zero_point_mag))
    return float(limiting_magnitude(typical * unit))
