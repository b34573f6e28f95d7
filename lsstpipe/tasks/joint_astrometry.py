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
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.photocalib import magnitude
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import Json, TaskConfig, mean_positions, plain


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
    stars, reference = inputs.isolated_star, inputs.reference_catalog
    star = stars.columns["isolatedStarId"].astype(np.int64)
    ra, dec = mean_positions(stars)
    pairs = match_sky(
        (ra, dec),
        (reference["ra"], reference["dec"]),
        radius_arcsec=config.reference_radius_arcsec,
    )
    known = {"ra": np.full(len(ra), np.nan), "dec": np.full(len(ra), np.nan)}
    error = np.full(len(ra), np.nan)
    for name in known:
        known[name][pairs.first] = reference[name][pairs.second]
    error[pairs.first] = 3600 * np.hypot(
        reference["raErr"][pairs.second], reference["decErr"][pairs.second]
    ) / np.sqrt(2)  # fmt: skip
    detector = get_camera(str(data_id["instrument"])).detectors[int(stars["detector"][0])]
    observations = AstrometricObservations(
        visit=stars.columns["visit"].astype(np.int64),
        detector=stars.columns["detector"].astype(np.int64),
        star=star,
        y=stars["y"],
        x=stars["x"],
        err_pix=np.sqrt(stars["xErr"] * stars["yErr"]),
        wcs={
            (own.integer("visit"), own.integer("detector")): SkyWcs.from_json_dict(summary["wcs"])
            for own, summary in inputs.visit_detector_summary.items()
            if own.integer("visit") in set(stars.columns["visit"].tolist())
        },
        reference_ra_deg=known["ra"],
        reference_dec_deg=known["dec"],
        reference_err_arcsec=error,
        shape=(detector.ny, detector.nx),
    )
    fit = fit_joint_astrometry(
        observations,
        JointAstrometryConfig(
            visit_order=config.visit_order,
            detector_order=config.detector_order,
            reserve_fraction=config.reserve_fraction,
            seed=config.seed,
        ),
    )
    mag = magnitude(stars["psfFlux"])
    return Outputs(_summarise(fit, observations, config.visit_order, mag))


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
