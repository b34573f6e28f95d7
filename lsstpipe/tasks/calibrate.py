"""calibrate: background, PSF, sources, WCS and zero point of one visit image by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from lsstpipe import datasets
from lsstpipe.algorithms.astrometry import TanSipConfig
from lsstpipe.algorithms.background import (
    Background,
    BackgroundSettings,
    estimate_sky_variance,
    fit_background,
)
from lsstpipe.algorithms.blind_match import PointingGuess
from lsstpipe.algorithms.cosmic_ray import CosmicRaySettings, find_cosmic_rays
from lsstpipe.algorithms.detect import DetectionSettings, detect_sources
from lsstpipe.algorithms.forced import ForcedSettings
from lsstpipe.algorithms.frame_solution import (
    AstrometrySolution,
    DetectedStars,
    SolveConfig,
    solve_frame,
)
from lsstpipe.algorithms.interpolate import interpolate_pixels
from lsstpipe.algorithms.match import match_plane
from lsstpipe.algorithms.measure_sources import Columns, MeasureSettings, measure_sources
from lsstpipe.algorithms.photometry import (
    ZeroPoint,
    ZeroPointConfig,
    fit_zero_point,
)
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.psf_model import PsfFit, PsfModelSettings
from lsstpipe.algorithms.psf_search import (
    PsfSearchSettings,
    find_bright_sources,
    fit_psf_among,
)
from lsstpipe.algorithms.psf_stars import StarSettings
from lsstpipe.data_model import DataId
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.image.mask import MaskPlane
from lsstpipe.image.photocalib import AB_NJY
from lsstpipe.image.psf import FWHM_PER_SIGMA, nearest_pixel
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import Json, TaskConfig, get_info
from lsstpipe.tasks.visit_flux_scale import FluxScale, correct_apertures
from lsstpipe.tasks.visit_pointing import solve_pointing
from lsstpipe.tasks.visit_products import (
    Measured,
    make_source_catalog,
    make_visit_image,
    summarise,
)
from lsstpipe.tasks.visit_stars import (
    compare_cells,
    look_up,
    place_stars,
    reference_magnitudes,
    reference_stars,
)

FloatArray = npt.NDArray[np.float64]

_FIRST_STARS = 40
_FIRST_ITERATIONS = 2
_POSITION_STEPS = 3
"""After three steps 90 % of the positions are within 0.06 of their errors of where they end."""
_PHOTON_WEIGHTS = 0.5
"""Bright stars scatter nearly as little as with 1; stars on galaxies are hardly brighter for it."""
_LARGEST_EXTENDEDNESS = 0.5
_WINGS_PER_FWHM = 1.5
"""How far the wings of stars are left out of the background."""


class Config(TaskConfig):
    """How to calibrate a visit image."""

    background_mesh_pix: PositiveInt = 128
    """Side of the meshes between which the background is interpolated, in pixels."""

    background_min_mesh_fwhm: NonNegativeFloat = 16.0
    """Least side of a mesh in full widths at half maximum of the PSF; where the configured one is
    smaller the background is fitted again, because small meshes take the wings of stars for sky."""

    first_psf_fwhm_pix: PositiveFloat = 3.0
    """Full width at half maximum of the Gaussian that the first detection takes for the PSF."""

    first_detection_n_sigma: PositiveFloat = 15.0
    """Significance of the sources that the PSF is learned from."""

    psf_order: NonNegativeInt = 2
    """Degree of the polynomial by which the PSF varies over the detector."""

    psf_min_signal_to_noise: PositiveFloat = 50.0
    """Least signal-to-noise ratio of a star that the PSF is learned from; while there are too few
    it is lowered, down to 20."""

    psf_wanted_stars: PositiveInt = 150
    """Stars from which the signal-to-noise ratio is not lowered any further."""

    psf_reserve_every: int = Field(default=5, ge=2)
    """One PSF star of this many, in order of brightness, is kept out of the fit to test it."""

    min_psf_stars: PositiveInt = 6
    """Fewest stars that a PSF is believed of."""

    cosmic_ray_n_sigma: PositiveFloat = 5.0
    """Excess over the neighbours from which a pixel may be a cosmic ray, in standard deviations."""

    detection_n_sigma: PositiveFloat = 5.0
    """Significance of a source in the matched filter."""

    pointing_radius_arcmin: PositiveFloat = 15.0
    """How far the true centre may be from the pointing that the header or the campaign gives."""

    astrometry_freedom: Literal["map", "shift"] = "map"
    """What is fitted: the whole map, or the pointing alone, with the orientation of the header,
    where the catalogue has a few stars of a field."""

    astrometry_max_order: PositiveInt = 3
    """Highest degree of the distortion polynomial; the stars decide how much of it they support."""

    astrometry_match_radius_pix: PositiveFloat = 3.0
    """Largest distance between a source and the catalogue star that it is."""

    astrometry_max_rms_pix: PositiveFloat = 1.0
    """Residuals from which a solution is not believed."""

    calibration_aperture: Literal["ap06", "ap09", "ap12"] = "ap12"
    """Aperture that PSF fluxes are put on the scale of."""

    calibration_radius_pix: PositiveFloat | None = None
    """Radius of that aperture where the seeing is too wide for those of the catalogue; it takes the
    place of calibration_aperture."""

    aperture_correction_order: NonNegativeInt = 1
    """Degree of the ratio of aperture to PSF flux over the detector."""

    min_zero_point_stars: PositiveInt = 3
    """Fewest catalogue stars that a zero point is believed of."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """An image without the camera's signature, and the catalogue."""

    post_isr_image: Annotated[Exposure, datasets.post_isr_image]
    reference_catalog: Annotated[Catalog, datasets.reference_catalog]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    visit_image: Annotated[Exposure, datasets.visit_image]
    visit_image_background: Annotated[Exposure, datasets.visit_image_background]
    source: Annotated[Catalog, datasets.source]
    visit_detector_summary: Annotated[Json, datasets.visit_detector_summary]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Calibrate one visit image.

    Background, PSF, cosmic rays and sources depend on each other: the background is fitted with
    sources masked, the PSF is learned twice, before and after the cosmic rays are gone.
    """
    exposure, info = inputs.post_isr_image, get_info(inputs.post_isr_image)
    reference = look_up(inputs.reference_catalog, info)
    background, planes, fit = _learn_sky_and_psf(exposure, config)
    unfilled = exposure.image - background.image
    planes = planes.with_plane(MaskPlane.EDGE, _rim(planes, fit.psf.size // 2))
    detection = detect_sources(
        planes,
        _central_stamp(fit, planes),
        DetectionSettings(n_sigma=config.detection_n_sigma),
    )
    planes = planes.with_plane(MaskPlane.DETECTED, detection.detected)
    columns = measure_sources(
        planes,
        fit.psf,
        detection=detection,
        sky_variance=estimate_sky_variance(planes),
        settings=MeasureSettings(
            forced=ForcedSettings(n_iterations=_POSITION_STEPS, photon_weights=_PHOTON_WEIGHTS)
        ),
    )
    stars = match_plane(_positions(columns), np.stack([fit.y, fit.x], axis=1), 1.0)
    correction = correct_apertures(
        columns,
        stars.first,
        planes,
        fit.psf,
        FluxScale(
            config.calibration_aperture,
            config.calibration_radius_pix,
            config.aperture_correction_order,
        ),
    )
    factor = correction.factor(y=columns["y"].astype(np.float64), x=columns["x"].astype(np.float64))
    for name in ("psfFlux", "psfFluxErr"):
        columns[name] = columns[name].astype(np.float64) * factor
    stars_seen = place_stars(columns, unfilled, planes, fit)
    solution = _solve(stars_seen, reference, info, planes, config)
    reference_mag = reference_magnitudes(len(detection.y), solution, reference)
    zero_point = _fit_zero_point(columns, reference_mag, config)
    scale = float(10 ** (0.4 * (AB_NJY - zero_point.zero_point_mag)))
    used = {
        "calib_psf_candidate": stars.first,
        "calib_psf_used": stars.first[fit.is_used[stars.second]],
        "calib_psf_reserved": stars.first[fit.is_reserved[stars.second]],
        "calib_astrometry_used": solution.detection[solution.fit.used],
        "calib_photometry_used": np.flatnonzero(zero_point.used),
    }
    columns |= {
        "snr": detection.significance,
        "factor": factor,
        "sky": _sky_at(background, columns),
    }
    measured = Measured(
        planes=planes,
        background=background,
        psf_fit=fit,
        correction=correction,
        sources=columns,
        solution=solution,
        reference=reference,
        zero_point=zero_point,
        variation=compare_cells(columns, reference_mag, planes),
    )
    calibrated = make_visit_image(exposure, measured, scale)
    return Outputs(
        visit_image=calibrated,
        visit_image_background=replace(
            calibrated,
            image=(background.image * np.float32(scale)),
            variance=np.zeros_like(background.image),
            psf=None,
            aperture_correction=None,
        ),
        source=make_source_catalog(columns, used, calibrated, scale),
        visit_detector_summary=summarise(measured, exposure),
    )


def _learn_sky_and_psf(exposure: Exposure, config: Config) -> tuple[Background, Planes, PsfFit]:
    """Find background, PSF and cosmic rays; give the mended image without background too."""
    background = _fit_background(exposure, config, fwhm=0.0)
    planes = Planes(exposure.image - background.image, exposure.variance, exposure.mask)
    # Meshes and cosmic rays only need the width of the PSF: a plain fit to few stars has it.
    search = _search_settings(config, max_order=0, n_wanted=_FIRST_STARS)
    search = replace(search, model=replace(search.model, n_iterations=_FIRST_ITERATIONS))
    bright = find_bright_sources(planes, search)
    fit = fit_psf_among(planes, bright, search)
    ny, nx = planes.image.shape
    fwhm = FWHM_PER_SIGMA * fit.psf.sigma(y=ny / 2, x=nx / 2)
    if config.background_min_mesh_fwhm * fwhm > config.background_mesh_pix:
        background = _fit_background(exposure, config, fwhm=fwhm)
        planes = replace(planes, image=exposure.image - background.image)
    stamp = _central_stamp(fit, planes)
    rays = find_cosmic_rays(planes, stamp, CosmicRaySettings(n_sigma=config.cosmic_ray_n_sigma))
    planes = _repair(planes.with_plane(MaskPlane.CR, rays), fit)
    search = _search_settings(config, max_order=config.psf_order, n_wanted=config.psf_wanted_stars)
    return background, planes, fit_psf_among(planes, bright, search)


def _fit_background(exposure: Exposure, config: Config, *, fwhm: float) -> Background:
    """Fit the background between stars of a width, 0 before it is known."""
    least = BackgroundSettings(mesh_size=config.background_mesh_pix)
    return fit_background(
        exposure.image,
        exposure.mask,
        replace(
            least,
            mesh_size=max(least.mesh_size, math.ceil(config.background_min_mesh_fwhm * fwhm)),
            source_sigma=max(least.source_sigma, fwhm / FWHM_PER_SIGMA),
            source_growth=max(least.source_growth, math.ceil(_WINGS_PER_FWHM * fwhm)),
        ),
    )


def _search_settings(config: Config, *, max_order: int, n_wanted: int) -> PsfSearchSettings:
    """Say how the stars are found and the PSF is fitted to them."""
    return PsfSearchSettings(
        first_fwhm=config.first_psf_fwhm_pix,
        n_sigma=config.first_detection_n_sigma,
        stars=StarSettings(
            min_snr=config.psf_min_signal_to_noise,
            n_wanted=n_wanted,
            n_most=max(n_wanted, _FIRST_STARS) * 2,
            reserve_every=config.psf_reserve_every,
        ),
        model=PsfModelSettings(max_order=max_order, min_stars=config.min_psf_stars),
    )


def _central_stamp(fit: PsfFit, planes: Planes) -> FloatArray:
    """Draw the PSF on the pixel in the middle of the image."""
    ny, nx = planes.image.shape
    return fit.psf.stamp(y=float(ny // 2), x=float(nx // 2))


def _repair(planes: Planes, fit: PsfFit) -> Planes:
    """Interpolate over defects, saturated pixels and cosmic rays, and flag what was replaced."""
    ny, nx = planes.image.shape
    filled = interpolate_pixels(
        planes.image,
        planes.mask,
        planes=MaskPlane.BAD | MaskPlane.SAT | MaskPlane.CR,
        psf_sigma=fit.psf.sigma(y=ny / 2, x=nx / 2),
    )
    return replace(planes, image=filled.image).with_plane(MaskPlane.INTRP, filled.replaced)


def _rim(planes: Planes, width: int) -> npt.NDArray[np.bool_]:
    """Find the pixels where the detection kernel does not fit."""
    rim = np.ones(planes.image.shape, dtype=bool)
    rim[width:-width, width:-width] = False
    return rim


def _positions(columns: Columns) -> FloatArray:
    """Stack the positions of the sources; far away where there is none."""
    position = np.stack([columns["y"], columns["x"]], axis=1).astype(np.float64)
    return np.where(np.isfinite(position), position, -1e6)


def _sky_at(background: Background, columns: Columns) -> npt.NDArray[np.float32]:
    """Read the background at the sources."""
    ny, nx = background.image.shape
    pixel = np.clip(nearest_pixel(_positions(columns)), 0, (ny - 1, nx - 1))
    sky: npt.NDArray[np.float32] = background.image[pixel[:, 0], pixel[:, 1]]
    return sky


def _solve(
    stars: DetectedStars, reference: Catalog, info: ObservationInfo, planes: Planes, config: Config
) -> AstrometrySolution:
    """Put the image on the sky."""
    if config.astrometry_freedom == "shift":
        shape, radius = planes.image.shape, config.pointing_radius_arcmin
        return solve_pointing(stars, reference, info, shape=shape, radius_arcmin=radius)
    camera = get_camera(info.instrument)
    placed = np.flatnonzero(np.isfinite(stars.y + stars.x + stars.err_pix) & (stars.flux > 0))
    y, x = stars.y[placed], stars.x[placed]
    solution = solve_frame(
        DetectedStars(
            y=y,
            x=x,
            flux=stars.flux[placed],
            err_pix=stars.err_pix[placed],
            is_saturated=None if stars.is_saturated is None else stars.is_saturated[placed],
            straight=camera.straighten(camera.detector(info.detector), y=y, x=x),
        ),
        reference_stars(reference),
        PointingGuess(
            ra_deg=info.ra_deg,
            dec_deg=info.dec_deg,
            radius_arcmin=config.pointing_radius_arcmin,
            pixel_scale_arcsec=camera.pixel_scale_arcsec,
            scale_tolerance=camera.scale_tolerance,
            rotation_deg=info.rotation_deg,
            is_mirrored=camera.is_mirrored,
        ),
        shape=planes.image.shape,
        config=SolveConfig(
            match_radius_pix=config.astrometry_match_radius_pix,
            max_rms_pix=config.astrometry_max_rms_pix,
            fit=TanSipConfig(max_order=config.astrometry_max_order),
        ),
    )
    return replace(solution, detection=placed[solution.detection])


def _fit_zero_point(columns: Columns, reference_mag: FloatArray, config: Config) -> ZeroPoint:
    """Compare the sources with the catalogue."""
    bad = columns["pixelFlags_saturated"].astype(bool) | columns["psfFlux_flag"].astype(bool)
    bad |= columns["pixelFlags_edge"].astype(bool)
    bad |= columns["extendedness"].astype(np.float64) > _LARGEST_EXTENDEDNESS
    return fit_zero_point(
        columns["psfFlux"].astype(np.float64),
        columns["psfFluxErr"].astype(np.float64),
        np.where(bad, np.nan, reference_mag),
        config=ZeroPointConfig(min_stars=config.min_zero_point_stars),
    )
