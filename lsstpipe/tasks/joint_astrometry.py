"""joint_astrometry: fit the WCS of all visits of a tract together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from lsstpipe import datasets
from lsstpipe.algorithms.joint_astrometry import (
    AstrometricObservations,
    JointAstrometry,
    JointAstrometryConfig,
    fit_joint_astrometry,
)
from lsstpipe.algorithms.match import match_sky
from lsstpipe.data_model import DataId
from lsstpipe.geometry.proper_motion import DAYS_PER_YEAR
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.photocalib import magnitude
from lsstpipe.image.reference import has_motions, positions_at
from lsstpipe.instruments import get_camera
from lsstpipe.instruments.camera import Camera
from lsstpipe.tasks.base import Json, TaskConfig, mean_positions, plain

FloatArray = npt.NDArray[np.float64]

_LARGEST_MAP_ERROR_PIX = 0.1
_FREE = 0.7
"""Share of its prior that a term may keep before it counts as not determined."""


class Config(TaskConfig):
    """How the visits are fitted together."""

    visit_order: PositiveInt = 2
    """Degree of the polynomial of each visit."""

    detector_order: NonNegativeInt = 3
    """Degree of the distortion that a detector has on all visits."""

    reserve_fraction: float = Field(default=0.2, ge=0, lt=1)
    """Share of the stars kept out of the fit to test it."""

    seed: NonNegativeInt = 0
    """Chooses the reserved stars."""

    reference_radius_arcsec: PositiveFloat = 4.0
    """Largest distance between a star and the catalogue star that it is."""

    min_years: PositiveFloat = 0.9
    """Time over which a star must be seen for its proper motion to be fitted."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Stars, first maps and the catalogue."""

    isolated_star: Annotated[Catalog, datasets.isolated_star]
    visit_detector_summary: Annotated[Mapping[DataId, Json], datasets.visit_detector_summary]
    reference_catalog: Annotated[Catalog, datasets.reference_catalog]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    joint_astrometry: Annotated[Json, datasets.joint_astrometry]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Fit all visits of one tract to each other and to the catalogue."""
    return Outputs(fit_visits(inputs, config, get_camera(str(data_id["instrument"]))))


def fit_visits(inputs: Inputs, config: Config, camera: Camera) -> Json:
    """Fit all visits of a camera to each other and to the catalogue.

    Parameters
    ----------
    inputs, config
        Of the task.
    camera
        It knows the size of its detectors.

    Raises
    ------
    AlgorithmError
        If no star is seen twice, or too few have a catalogue position.
    """
    observations = _collect(inputs, config, camera)
    fit = fit_joint_astrometry(
        observations,
        JointAstrometryConfig(
            visit_order=config.visit_order,
            detector_order=config.detector_order,
            min_years=config.min_years,
            reserve_fraction=config.reserve_fraction,
            seed=config.seed,
        ),
    )
    mag = magnitude(inputs.isolated_star["psfFlux"])
    return {
        **_summarise(fit, observations, config.visit_order, mag),
        "motions": _summarise_motions(fit, observations),
        "degeneracies": _degeneracies(fit, observations, config),
    }


def _collect(inputs: Inputs, config: Config, camera: Camera) -> AstrometricObservations:
    """Gather centroids, first maps and catalogue positions at the mean date of the visits."""
    stars = inputs.isolated_star
    visit = stars.columns["visit"].astype(np.int64)
    detector = stars.columns["detector"].astype(np.int64)
    seen = set(visit.tolist())
    summaries = {
        (own.integer("visit"), own.integer("detector")): summary
        for own, summary in inputs.visit_detector_summary.items()
        if own.integer("visit") in seen
    }
    mjd_of = {number: float(s["mid_mjd"]) for (number, _), s in summaries.items()}
    middle = float(np.mean(list(mjd_of.values())))
    mjd = np.array([mjd_of[number] for number in visit.tolist()])
    motions = has_motions(inputs.reference_catalog)
    known = _look_up(inputs, middle, config.reference_radius_arcsec)
    return AstrometricObservations(
        visit=visit,
        detector=detector,
        star=stars.columns["isolatedStarId"].astype(np.int64),
        y=stars["y"],
        x=stars["x"],
        err_pix=np.sqrt(stars["xErr"] * stars["yErr"]),
        wcs={key: SkyWcs.from_json_dict(summary["wcs"]) for key, summary in summaries.items()},
        reference_ra_deg=known["ra"],
        reference_dec_deg=known["dec"],
        reference_err_arcsec=known["error"],
        shapes={
            number: (camera.detector(number).ny, camera.detector(number).nx)
            for number in sorted({number for _, number in summaries})
        },
        years=(mjd - middle) / DAYS_PER_YEAR,
        reference_motion=np.stack([known["pmRa"], known["pmDec"]], axis=1) if motions else None,
        reference_motion_err=(
            np.stack([known["pmRaErr"], known["pmDecErr"]], axis=1) if motions else None
        ),
    )


def _look_up(inputs: Inputs, mjd: float, radius_arcsec: float) -> dict[str, FloatArray]:
    """Find what the catalogue says of each star at a date; NaN where it says nothing."""
    reference = inputs.reference_catalog
    ra, dec = mean_positions(inputs.isolated_star)
    moved = positions_at(reference, mjd)
    pairs = match_sky((ra, dec), moved, radius_arcsec=radius_arcsec)
    error = 3600 * np.hypot(reference["raErr"], reference["decErr"]) / np.sqrt(2)
    given = {"ra": moved[0], "dec": moved[1], "error": error}
    if has_motions(reference):
        given |= {name: reference[name] for name in ("pmRa", "pmDec", "pmRaErr", "pmDecErr")}
        years = np.nan_to_num((mjd - reference["epoch"]) / DAYS_PER_YEAR)
        drift = np.nan_to_num(np.hypot(reference["pmRaErr"], reference["pmDecErr"])) / np.sqrt(2)
        given["error"] = np.hypot(error, drift / 1000.0 * years)
    known = {}
    for name, values in given.items():
        known[name] = np.full(len(ra), np.nan)
        known[name][pairs.first] = values[pairs.second]
    return known


def _summarise_motions(fit: JointAstrometry, observations: AstrometricObservations) -> Json:
    """Say which stars move, and by how much."""
    fitted = np.isfinite(fit.star_motion_err_mas).all(axis=1)
    years = observations.years
    span = 0.0 if years is None or not len(years) else float(np.ptp(years))
    return {
        "span_yr": span,
        "n_fitted": int(fitted.sum()),
        "star": np.flatnonzero(fitted).tolist(),
        "pm_ra_mas_yr": plain(fit.star_motion_mas[fitted, 0], 3),
        "pm_dec_mas_yr": plain(fit.star_motion_mas[fitted, 1], 3),
        "pm_err_mas_yr": plain(fit.star_motion_err_mas[fitted].mean(axis=1), 3),
    }


def _degeneracies(
    fit: JointAstrometry, observations: AstrometricObservations, config: Config
) -> list[str]:
    """Say in sentences what the observations leave open."""
    said = []
    years, motion = observations.years, observations.reference_motion
    span = 0.0 if years is None or not len(years) else float(np.ptp(years))
    if not np.isfinite(fit.star_motion_err_mas).any():
        source = "the catalogue's are used" if motion is not None else "the stars are held still"
        said.append(
            f"Proper motions are not fitted: the visits span {span:.2f} years, needed are "
            f"{config.min_years:g} and three visits of a star; {source}."
        )
    elif motion is None or not np.isfinite(motion).any():
        said.append(
            "The catalogue gives no proper motions: those that were fitted are relative to the "
            "mean of all stars."
        )
    worst = max(fit.map_err_pix.values(), default=np.nan)
    if worst > _LARGEST_MAP_ERROR_PIX:
        key = max(fit.map_err_pix, key=lambda k: fit.map_err_pix[k])
        said.append(
            f"The maps are uncertain by up to {worst:.3f} pixels in the corners (visit {key[0]}, "
            f"detector {key[1]}): too few stars lie there."
        )
    n_free = int((fit.freedom > _FREE).sum())
    if n_free:
        said.append(
            f"{n_free} of {len(fit.freedom)} terms of the detectors' distortion are held by their "
            "prior: the visits are shifted or turned too little, or have too few stars."
        )
    return said


def _summarise(
    fit: JointAstrometry,
    observations: AstrometricObservations,
    order: int,
    mag: npt.NDArray[np.float64],
) -> Json:
    """Put the fit into plain values."""
    used = fit.used
    reserved = fit.reserved[observations.star]
    separation = match_distances(fit, observations)
    detectors = []
    for (visit, detector), wcs in sorted(fit.wcs.items()):
        own = used & (observations.visit == visit) & (observations.detector == detector)
        detectors.append(
            {
                "visit": visit,
                "detector": detector,
                "wcs": wcs.to_json_dict(),
                "n_star": int(own.sum()),
                "map_err_pix": plain(fit.map_err_pix[visit, detector], 5),
                "rms_y_pix": plain(np.sqrt(np.mean(fit.residual_y[own] ** 2))),
                "rms_x_pix": plain(np.sqrt(np.mean(fit.residual_x[own] ** 2))),
            }
        )
    return {
        "detectors": detectors,
        "n_star": len(fit.star_ra_deg),
        "n_observation": int(used.sum()),
        "n_reserved": int(fit.reserved.sum()),
        "order": order,
        "repeatability_used_pix": {
            "y": plain(fit.bright_used.rms_y_pix),
            "x": plain(fit.bright_used.rms_x_pix),
            "n": fit.bright_used.n_stars,
        },
        "repeatability_reserved_pix": {
            "y": plain(fit.bright_reserved.rms_y_pix),
            "x": plain(fit.bright_reserved.rms_x_pix),
            "n": fit.bright_reserved.n_stars,
        },
        "reference_rms_arcsec": plain(np.sqrt(np.mean(separation**2))),
        "n_reference": len(separation),
        "reserved_stars": _reserved_offsets(fit, observations),
        "residuals": {
            "visit": observations.visit[used].tolist(),
            "y": plain(observations.y[used], 2),
            "x": plain(observations.x[used], 2),
            "dy_pix": plain(fit.residual_y[used], 5),
            "dx_pix": plain(fit.residual_x[used], 5),
            "mag": plain(mag[used], 4),
            "is_reserved": reserved[used].tolist(),
        },
    }


def _reserved_offsets(fit: JointAstrometry, observations: AstrometricObservations) -> Json:
    """Measure how far stars that were kept out of the fit lie from the catalogue, mas."""
    known = np.isfinite(observations.reference_ra_deg) & np.isfinite(fit.star_ra_deg)
    own = known & fit.reserved
    d_ra = (fit.star_ra_deg - observations.reference_ra_deg + 180.0) % 360.0 - 180.0
    d_dec = fit.star_dec_deg - observations.reference_dec_deg
    error = np.hypot(fit.star_err_arcsec, observations.reference_err_arcsec)
    return {
        "ra_mas": plain((3.6e6 * d_ra * np.cos(np.deg2rad(fit.star_dec_deg)))[own], 3),
        "dec_mas": plain((3.6e6 * d_dec)[own], 3),
        "err_mas": plain((1e3 * error)[own], 3),
    }


def match_distances(
    fit: JointAstrometry, observations: AstrometricObservations
) -> npt.NDArray[np.float64]:
    """Measure how far the fitted stars lie from the catalogue, arcsec, per axis."""
    anchored = np.isfinite(observations.reference_ra_deg) & np.isfinite(fit.star_ra_deg)
    d_dec = (fit.star_dec_deg - observations.reference_dec_deg)[anchored] * 3600
    d_ra = (fit.star_ra_deg - observations.reference_ra_deg)[anchored] * 3600
    d_ra *= np.cos(np.deg2rad(fit.star_dec_deg[anchored]))
    result: npt.NDArray[np.float64] = np.concatenate([d_ra, d_dec])
    return result
