"""joint_photometry: fit the zero points of all visits of a tract together, band by band."""

from __future__ import annotations

from collections.abc import Mapping
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
    fit_joint_photometry,
    smooth_basis,
)
from lsstpipe.algorithms.match import match_sky
from lsstpipe.algorithms.repeatability import measure_repeatability, systematic_floor
from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.detector import Detector
from lsstpipe.image.focal_plane import focal_bounds, focal_position
from lsstpipe.image.photocalib import AB_NJY, PhotoCalib, magnitude, photo_calib_to_json
from lsstpipe.image.reference import as_seen
from lsstpipe.instruments import get_camera
from lsstpipe.instruments.camera import Camera
from lsstpipe.tasks.base import Json, TaskConfig, mean_positions, plain

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_BRIGHT_MMAG = 5.0
"""Stars whose noise is below this tell the systematic floor, mmag."""

_FREE = 0.5
"""Share of its prior that a term may keep before it counts as not determined."""

_GRID = 12


class Config(TaskConfig):
    """How the visits are fitted together."""

    flux: Literal["psf", "ap06"] = "psf"
    """Flux that is compared: of the PSF, or within 6 pixels."""

    camera_order: NonNegativeInt = 3
    """Degree of the smooth term over the focal plane that all visits of a band share."""

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
    """Stars, first zero points and the catalogue."""

    isolated_star: Annotated[Catalog, datasets.isolated_star]
    visit_detector_summary: Annotated[Mapping[DataId, Json], datasets.visit_detector_summary]
    reference_catalog: Annotated[Catalog, datasets.reference_catalog]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    joint_photometry: Annotated[Json, datasets.joint_photometry]


@dataclass(frozen=True, slots=True)
class _Band:
    """The fit of one band.

    Attributes
    ----------
    visits, detectors
        Numbers of the visits and detectors, in the order of the fit.
    bounds
        Rectangle of the focal plane: first row and column, and count of both.
    first
        Zero point of each visit and detector by itself, mag.
    """

    name: str
    visits: IntArray
    detectors: IntArray
    bounds: tuple[float, float, float, float]
    first: FloatArray
    observations: PhotometricObservations
    fit: JointPhotometry


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Fit the zero points and smooth terms of all visits of one tract."""
    return Outputs(fit_bands(inputs, config, get_camera(str(data_id["instrument"]))))


def fit_bands(inputs: Inputs, config: Config, camera: Camera) -> Json:
    """Fit the visits of each band of a camera.

    A star has one magnitude a band, so the bands are fitted one by one. A band that cannot be
    fitted is left out, unless none can.

    Parameters
    ----------
    inputs, config
        Of the task.
    camera
        Where its detectors lie on the focal plane.

    Raises
    ------
    AlgorithmError
        If no band can be fitted.
    """
    summaries = {
        (own.integer("visit"), own.integer("detector")): summary
        for own, summary in inputs.visit_detector_summary.items()
    }
    band_of = {visit: str(summary["band"]) for (visit, _), summary in summaries.items()}
    bands = np.array([band_of[v] for v in inputs.isolated_star.columns["visit"].tolist()])
    fits, failures = [], {}
    for band in sorted(set(bands.tolist())):
        own = inputs.isolated_star.select(bands == band)
        try:
            fits.append(_fit_band(band, own, summaries, inputs, config, camera))
        except AlgorithmError as error:
            failures[band] = error
    if not fits:
        raise next(iter(failures.values()))
    detectors = [entry for fit in fits for entry in _describe(fit, camera)]
    failed = [f"Band {band} is not fitted: {error}" for band, error in failures.items()]
    return {
        "detectors": sorted(detectors, key=lambda d: (d["visit"], d["detector"])),
        **_repeatability(fits),
        "bands": [_summarise(fit) for fit in fits],
        "degeneracies": [*failed, *(s for fit in fits for s in _degeneracies(fit))],
    }


def _fit_band(
    band: str,
    stars: Catalog,
    summaries: Mapping[tuple[int, int], Json],
    inputs: Inputs,
    config: Config,
    camera: Camera,
) -> _Band:
    """Fit the visits of one band."""
    visits, visit = np.unique(stars.columns["visit"].astype(np.int64), return_inverse=True)
    numbers, detector = np.unique(stars.columns["detector"].astype(np.int64), return_inverse=True)
    first = np.full((len(visits), len(numbers)), np.nan)
    for i, j in np.unique(np.stack([visit, detector]), axis=1).T.tolist():
        summary = summaries[int(visits[i]), int(numbers[j])]
        first[i, j] = summary["photometry"]["zero_point_mag"]
    mjds = [s["mid_mjd"] for (v, _), s in summaries.items() if v in set(visits.tolist())]
    bounds = focal_bounds([camera.detector(n) for n in numbers.tolist()])
    y, x = np.empty(len(stars)), np.empty(len(stars))
    for k, number in enumerate(numbers.tolist()):
        here = detector == k
        on_y, on_x = focal_position(camera.detector(number), y=stars["y"][here], x=stars["x"][here])
        y[here], x[here] = on_y - bounds[0], on_x - bounds[1]
    reference = as_seen(inputs.reference_catalog, band=band, mjd=float(np.mean(mjds)))
    mag, error = _look_up(inputs.isolated_star, reference, config.reference_radius_arcsec)
    # By its own zero point each detector was put near the catalogue: the visit's is compared.
    scale = 10 ** (0.4 * (first - np.nanmean(first)))[visit, detector]
    observations = PhotometricObservations(
        visit=visit.astype(np.int64),
        star=stars.columns["isolatedStarId"].astype(np.int64),
        y=y,
        x=x,
        flux=stars[f"{config.flux}Flux"] * scale,
        flux_err=stars[f"{config.flux}FluxErr"] * scale,
        reference_mag=mag,
        shape=bounds[2:],
        detector=detector.astype(np.int64) if len(numbers) > 1 else None,
        # A lone detector is compared with itself: the catalogue need not hold its slope.
        reference_err_mag=error if len(numbers) > 1 else None,
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
    return _Band(band, visits, numbers, bounds, first, observations, fit)


def _look_up(
    stars: Catalog, reference: Catalog, radius_arcsec: float
) -> tuple[FloatArray, FloatArray]:
    """Find the catalogue's magnitude of each star and its error; NaN where there is none."""
    ra, dec = mean_positions(stars)
    pairs = match_sky((ra, dec), (reference["ra"], reference["dec"]), radius_arcsec=radius_arcsec)
    mag, error = np.full(len(ra), np.nan), np.full(len(ra), np.nan)
    flux = reference["flux"][pairs.second]
    mag[pairs.first] = magnitude(np.nan_to_num(flux))
    relative = reference["fluxErr"][pairs.second] / np.where(flux > 0, flux, np.nan)
    error[pairs.first] = relative * 2.5 / np.log(10)
    return mag, error


def _describe(band: _Band, camera: Camera) -> list[Json]:
    """Give the calibration of every visit and detector of a band."""
    described = []
    for i, visit in enumerate(band.visits.tolist()):
        if not np.isfinite(band.fit.zero_point_mag[i]):
            continue
        for j, number in enumerate(band.detectors.tolist()):
            if not np.isfinite(band.first[i, j]):
                continue
            calib = _photo_calib(band, (i, j), camera.detector(number))
            offset = -2.5 * np.log10(calib.scale)
            described.append(
                {
                    "visit": visit,
                    "detector": number,
                    "band": band.name,
                    "zero_point_offset_mag": plain(offset),
                    "zero_point_mag": plain(band.first[i, j] + offset),
                    "zero_point_err_mag": plain(band.fit.zero_point_err_mag[i]),
                    "photo_calib": photo_calib_to_json(calib),
                }
            )
    return described


def _photo_calib(band: _Band, pair: tuple[int, int], detector: Detector) -> PhotoCalib:
    """Turn the terms over the focal plane into the calibration of the nJy of one detector."""
    fit, (i, j) = band.fit, pair
    order = max(fit.camera_term.order, fit.visit_terms[i].order)
    shape = (float(detector.ny), float(detector.nx))
    # The polynomials go over to the detector's own axes exactly: any grid that is fine enough does.
    y, x = (
        g.ravel()
        for g in np.meshgrid(
            np.linspace(0, detector.ny - 1, _GRID), np.linspace(0, detector.nx - 1, _GRID)
        )
    )
    on_y, on_x = focal_position(detector, y=y, x=x)
    on_y, on_x = on_y - band.bounds[0], on_x - band.bounds[1]
    term = fit.camera_term.evaluate(y=on_y, x=on_x) + fit.visit_terms[i].evaluate(y=on_y, x=on_x)
    basis = smooth_basis(y=y, x=x, order=order, shape=shape)
    design = np.concatenate([np.ones((len(y), 1)), basis], axis=1)
    coefficients = np.linalg.lstsq(design, term, rcond=None)[0]
    zero_point = fit.zero_point_mag[i] + fit.offset_mag[i, j] + coefficients[0]
    # The zero point of the fit holds for the mean of all first zero points.
    shift = float(zero_point - AB_NJY + np.nanmean(band.first) - band.first[i, j])
    scale = 10 ** (-0.4 * shift)
    return PhotoCalib(
        scale=scale,
        scale_err=float(fit.zero_point_err_mag[i]) * scale * np.log(10) / 2.5,
        coefficients=_legendre(coefficients[1:], order),
        center=((detector.ny - 1) / 2, (detector.nx - 1) / 2),
        half_size=(detector.ny / 2, detector.nx / 2),
    )


def _legendre(coefficients: FloatArray, order: int) -> tuple[tuple[float, ...], ...]:
    """Lay the coefficients of a smooth term out as a table by degree in y and x."""
    table = np.zeros((order + 1, order + 1))
    degrees = [(q, n - q) for n in range(1, order + 1) for q in range(n + 1)]
    for (in_y, in_x), value in zip(degrees, coefficients, strict=True):
        table[in_y, in_x] = value
    return tuple(tuple(row) for row in table.tolist())


def _summarise(band: _Band) -> Json:
    """Say how the fit of a band went."""
    return {
        "band": band.name,
        "n_visit": len(band.visits),
        "n_detector": len(band.detectors),
        "n_observation": int(band.fit.used.sum()),
        "n_reference": band.fit.anchor.n_used,
        "reference_scatter_mag": plain(band.fit.anchor.scatter_mag),
        "anchor_err_mag": plain(band.fit.anchor.err_mag),
        "camera_term_mag": plain(band.fit.camera_term.coefficients, 6),
        "camera_term_freedom": plain(band.fit.freedom, 3),
    }


def _degeneracies(band: _Band) -> list[str]:
    """Say in sentences what the observations of a band leave open."""
    said = []
    freedom = band.fit.freedom[:2]
    for axis, value in zip(("x", "y"), freedom.tolist(), strict=False):
        if value > _FREE:
            said.append(
                f"Band {band.name}: the slope of the camera's term along {axis} is held by its "
                f"prior ({value:.2f} of it is left): visits that are only shifted cannot tell it "
                "from the magnitudes of the stars."
            )
    n_higher = int((band.fit.freedom[2:] > _FREE).sum())
    if n_higher:
        said.append(
            f"Band {band.name}: {n_higher} curved terms of the camera are held by their prior: the "
            "visits are too few or shifted too little."
        )
    if len(band.visits) == 1:
        said.append(f"Band {band.name} has one visit: its zero point is that of the catalogue.")
    return said


def _repeatability(bands: list[_Band]) -> Json:
    """Measure how well the stars of all bands repeat after the fits."""
    tables: dict[str, list[npt.NDArray[np.generic]]] = {
        name: [] for name in ("mag", "rms_mmag", "expected_mmag", "n", "is_reserved", "is_bright")
    }
    for band in bands:
        for name, values in _measure_repeatability(band).items():
            tables[name].append(values)
    stars = {name: np.concatenate(parts) for name, parts in tables.items()}
    bright = stars["is_bright"].astype(bool)
    rms, expected = stars["rms_mmag"].astype(np.float64), stars["expected_mmag"].astype(np.float64)
    floor = systematic_floor(
        rms[bright],
        expected[bright],
        stars["n"].astype(np.int64)[bright],
        np.random.default_rng(0),
    )
    return {
        "n_star": len(rms),
        "n_observation": sum(int(band.fit.used.sum()) for band in bands),
        "n_reserved": int(bands[0].fit.reserved.sum()),
        "floor_mmag": plain(floor.value),
        "floor_err_mmag": plain(floor.error),
        "n_floor_stars": floor.n,
        "stars": {
            "mag": plain(stars["mag"].astype(np.float64), 4),
            "rms_mmag": plain(rms, 3),
            "expected_mmag": plain(expected, 3),
            "n": stars["n"].tolist(),
            "is_reserved": stars["is_reserved"].tolist(),
        },
    }


def _measure_repeatability(band: _Band) -> dict[str, npt.NDArray[np.generic]]:
    """Measure how well the stars of one band repeat."""
    fit, observations = band.fit, band.observations
    n_star, n_visit = observations.n_stars, observations.n_visits
    calibrated = 10 ** (-0.4 * (fit.star_mag[observations.star] + fit.residual_mag - AB_NJY))
    flux = np.full((n_star, n_visit), np.nan)
    error = np.full((n_star, n_visit), np.nan)
    flux[observations.star, observations.visit] = calibrated
    error[observations.star, observations.visit] = calibrated * fit.err_mag * np.log(10) / 2.5
    stars = measure_repeatability(flux, error, np.isfinite(flux) & np.isfinite(error))
    known = np.isfinite(stars.rms_mmag)
    bright = (stars.expected_mmag < _BRIGHT_MMAG) & (stars.n >= n_visit / 2)
    return {
        "mag": magnitude(stars.flux[known]),
        "rms_mmag": stars.rms_mmag[known],
        "expected_mmag": stars.expected_mmag[known],
        "n": stars.n[known],
        "is_reserved": fit.reserved[known],
        "is_bright": bright[known],
    }
