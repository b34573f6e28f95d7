"""joint_photometry: fit the zero points of all visits of a tract together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, PositiveFloat

from lsstpipe import datasets
from lsstpipe.algorithms.joint_photometry import (
    JointPhotometry,
    JointPhotometryConfig,
    PhotometricObservations,
    SmoothTerm,
    fit_joint_photometry,
)
from lsstpipe.algorithms.match import match_sky
from lsstpipe.algorithms.repeatability import measure_repeatability, systematic_floor
from lsstpipe.data_model import DataId
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.photocalib import AB_NJY, PhotoCalib, magnitude, photo_calib_to_json
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import Json, TaskConfig, mean_positions, plain

_BRIGHT_MMAG = 5.0
"""Stars whose noise is below this tell the systematic floor, mmag."""


class Config(TaskConfig):
    """How the visits are fitted together."""

    flux: Literal["psf", "ap06"] = "psf"
    """Flux that is compared: of the PSF, or within 6 pixels."""

    camera_order: NonNegativeInt = 3
    """Degree of the smooth term that all visits share."""

    visit_order: NonNegativeInt = 1
    """Degree of the smooth term of each visit."""

    reserve_fraction: float = Field(default=0.2, ge=0, lt=1)
    """Share of the stars kept out of the fit to test it."""

    seed: NonNegativeInt = 0
    """Chooses the reserved stars."""

    reference_radius_arcsec: PositiveFloat = 4.0
    """Largest distance between a star and the catalogue star that it is."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Stars and the catalogue."""

    isolated_star: Annotated[Catalog, datasets.isolated_star]
    reference_catalog: Annotated[Catalog, datasets.reference_catalog]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    joint_photometry: Annotated[Json, datasets.joint_photometry]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Fit the zero points and smooth terms of all visits of one tract."""
    stars, reference = inputs.isolated_star, inputs.reference_catalog
    keys, index = np.unique(
        np.stack([stars.columns["visit"], stars.columns["detector"]]).astype(np.int64),
        axis=1,
        return_inverse=True,
    )
    ra, dec = mean_positions(stars)
    pairs = match_sky(
        (ra, dec),
        (reference["ra"], reference["dec"]),
        radius_arcsec=config.reference_radius_arcsec,
    )
    reference_mag = np.full(len(ra), np.nan)
    reference_mag[pairs.first] = magnitude(reference["flux"][pairs.second])
    detector = get_camera(str(data_id["instrument"])).detectors[int(stars["detector"][0])]
    observations = PhotometricObservations(
        visit=index.ravel().astype(np.int64),
        star=stars.columns["isolatedStarId"].astype(np.int64),
        y=stars["y"],
        x=stars["x"],
        flux=stars[f"{config.flux}Flux"],
        flux_err=stars[f"{config.flux}FluxErr"],
        reference_mag=reference_mag,
        shape=(detector.ny, detector.nx),
    )
    fit = fit_joint_photometry(
        observations,
        JointPhotometryConfig(
            camera_order=config.camera_order,
            visit_order=config.visit_order,
            reserve_fraction=config.reserve_fraction,
            seed=config.seed,
        ),
    )
    detectors = []
    for i, (visit, number) in enumerate(keys.T.tolist()):
        if not np.isfinite(fit.zero_point_mag[i]):
            continue
        calib = _photo_calib(fit, i)
        detectors.append(
            {
                "visit": visit,
                "detector": number,
                "zero_point_offset_mag": plain(fit.zero_point_mag[i] - AB_NJY),
                "zero_point_err_mag": plain(fit.zero_point_err_mag[i]),
                "photo_calib": photo_calib_to_json(calib),
            }
        )
    return Outputs({"detectors": detectors, **_repeatability(fit, observations)})


def _photo_calib(fit: JointPhotometry, visit: int) -> PhotoCalib:
    """Turn the zero point and smooth terms of a visit into a calibration of its nJy."""
    scale = float(10 ** (-0.4 * (fit.zero_point_mag[visit] - AB_NJY)))
    error = float(fit.zero_point_err_mag[visit]) * scale * np.log(10) / 2.5
    camera, own = _legendre(fit.camera_term), _legendre(fit.visit_terms[visit])
    size = max(len(camera), len(own))
    total = np.zeros((size, size))
    for part in (camera, own):
        total[: len(part), : len(part)] += part
    ny, nx = fit.camera_term.shape
    return PhotoCalib(
        scale=scale,
        scale_err=float(error),
        coefficients=tuple(tuple(row) for row in total.tolist()),
        center=((ny - 1) / 2, (nx - 1) / 2),
        half_size=(ny / 2, nx / 2),
    )


def _legendre(term: SmoothTerm) -> npt.NDArray[np.float64]:
    """Lay the coefficients of a smooth term out as a table by degree in y and x."""
    table = np.zeros((term.order + 1, term.order + 1))
    degrees = [(q, n - q) for n in range(1, term.order + 1) for q in range(n + 1)]
    for (in_y, in_x), value in zip(degrees, term.coefficients, strict=True):
        table[in_y, in_x] = value
    return table


def _repeatability(fit: JointPhotometry, observations: PhotometricObservations) -> Json:
    """Measure how well the stars repeat after the fit."""
    n_star, n_visit = observations.n_stars, observations.n_visits
    calibrated = 10 ** (-0.4 * (fit.star_mag[observations.star] + fit.residual_mag - AB_NJY))
    flux = np.full((n_star, n_visit), np.nan)
    error = np.full((n_star, n_visit), np.nan)
    flux[observations.star, observations.visit] = calibrated
    error[observations.star, observations.visit] = calibrated * fit.err_mag * np.log(10) / 2.5
    stars = measure_repeatability(flux, error, np.isfinite(flux) & np.isfinite(error))
    known = np.isfinite(stars.rms_mmag)
    bright = known & (stars.expected_mmag < _BRIGHT_MMAG) & (stars.n >= n_visit / 2)
    floor = systematic_floor(
        stars.rms_mmag[bright],
        stars.expected_mmag[bright],
        stars.n[bright],
        np.random.default_rng(0),
    )
    return {
        "n_star": int(known.sum()),
        "n_observation": int(fit.used.sum()),
        "n_reserved": int(fit.reserved.sum()),
        "floor_mmag": plain(floor.value),
        "floor_err_mmag": plain(floor.error),
        "n_floor_stars": floor.n,
        "stars": {
            "mag": plain(magnitude(stars.flux[known]), 4),
            "rms_mmag": plain(stars.rms_mmag[known], 3),
            "expected_mmag": plain(stars.expected_mmag[known], 3),
            "n": stars.n[known].tolist(),
            "is_reserved": fit.reserved[known].tolist(),
        },
    }
