"""The joint photometric fit against a simulated survey."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms.joint_photometry import (
    JointPhotometryConfig,
    PhotometricObservations,
    SmoothTerm,
    fit_joint_photometry,
    smooth_basis,
)
from lsstpipe.algorithms.star_elimination import reserve_stars
from lsstpipe.errors import AlgorithmError

Array = npt.NDArray[np.float64]
SHAPE = (700, 1000)
CONFIG = JointPhotometryConfig(err_floor_mag=0.001, camera_prior_mag=0.1)
N_STARS, N_VISITS = 200, 12


class Survey:
    """Stars seen by dithered visits through a known illumination."""

    def __init__(
        self, seed: int = 1, *, err_mag: float = 0.004, visit_tilt: float = 0.0, noise: bool = True
    ) -> None:
        rng = np.random.default_rng(seed)
        self.mag = rng.uniform(10, 13, N_STARS)
        self.zero_point = 22.0 + rng.normal(0, 0.2, N_VISITS)
        self.camera = SmoothTerm(np.array([0.0, 0.0, 0.03, -0.02, 0.015]), 2, SHAPE)
        tilts = visit_tilt * rng.normal(0, 1, (N_VISITS, 2))
        self.tilts = tilts - tilts.mean(axis=0)
        shift = rng.uniform(-250, 250, (N_VISITS, 2))
        home = rng.uniform(0, 1, (N_STARS, 2)) * SHAPE
        position = home[None] + shift[:, None]
        inside = ((position > 0) & (position < SHAPE)).all(axis=2)
        self.visit, self.star = (i.astype(np.int64) for i in np.nonzero(inside))
        self.y, self.x = position[inside].T
        self.err = np.full(len(self.y), err_mag)
        tilt = smooth_basis(y=self.y, x=self.x, order=1, shape=SHAPE) * self.tilts[self.visit]
        term = self.camera.evaluate(y=self.y, x=self.x) + tilt.sum(axis=1)
        self.instrumental = self.mag[self.star] - self.zero_point[self.visit] - term
        if noise:
            self.instrumental += rng.normal(0, err_mag, len(self.y))
        self.reference = np.where(rng.random(N_STARS) < 0.5, self.mag, np.nan)

    def observations(self) -> PhotometricObservations:
        flux = 10.0 ** (-0.4 * self.instrumental)
        err = flux * self.err * np.log(10.0) / 2.5
        return PhotometricObservations(
            self.visit, self.star, self.y, self.x, flux, err, self.reference, SHAPE
        )


def calibrated(survey: Survey, config: JointPhotometryConfig) -> Array:
    """Magnitude of every observation under the fit."""
    fit = fit_joint_photometry(survey.observations(), config)
    mag = survey.instrumental + fit.zero_point_mag[survey.visit]
    mag = mag + fit.camera_term.evaluate(y=survey.y, x=survey.x)
    for number, term in enumerate(fit.visit_terms):
        here = survey.visit == number
        mag[here] += term.evaluate(y=survey.y[here], x=survey.x[here])
    return mag


def test_noiseless_fluxes_give_the_true_calibration() -> None:
    survey = Survey(noise=False)
    survey.reference = survey.mag.copy()
    config = replace(CONFIG, camera_prior_mag=100.0)
    fit = fit_joint_photometry(survey.observations(), config)
    curvature = fit.camera_term.coefficients[2:]
    np.testing.assert_allclose(curvature, survey.camera.coefficients[2:], atol=1e-5)
    np.testing.assert_allclose(fit.residual_mag, 0.0, atol=1e-5)
    found = fit.zero_point_mag - survey.zero_point
    # The tilt of the camera's term cannot be told from a tilt of the stars; it is small.
    np.testing.assert_allclose(found, found.mean(), atol=2e-3)


def test_calibrated_magnitudes_repeat_to_the_noise() -> None:
    survey = Survey(3)
    fit = fit_joint_photometry(survey.observations(), CONFIG)
    for reserved in (False, True):
        chosen = fit.used & (fit.reserved[survey.star] == reserved)
        rms = np.sqrt(np.mean(fit.residual_mag[chosen] ** 2))
        n_free = 1.0 - 1.0 / (len(survey.y) / N_STARS)
        assert rms == pytest.approx(0.004 * np.sqrt(n_free), rel=0.06)


def test_residuals_are_those_of_the_published_terms() -> None:
    survey = Survey(4, visit_tilt=0.02)
    config = replace(CONFIG, visit_order=1)
    fit = fit_joint_photometry(survey.observations(), config)
    expected = calibrated(survey, config) - fit.star_mag[survey.star]
    np.testing.assert_allclose(fit.residual_mag, expected, atol=1e-9)


def test_tilts_of_single_visits_are_found() -> None:
    survey = Survey(5, visit_tilt=0.02)
    # Seen through dithers a curved illumination is a tilt of each visit: leave it out.
    survey.instrumental += survey.camera.evaluate(y=survey.y, x=survey.x)
    config = replace(CONFIG, camera_order=0, visit_order=1, visit_prior_mag=0.05)
    fit = fit_joint_photometry(survey.observations(), config)
    found = np.array([term.coefficients for term in fit.visit_terms])
    np.testing.assert_allclose(found - found.mean(axis=0), survey.tilts, atol=0.005)
    flat = fit_joint_photometry(survey.observations(), replace(config, visit_order=0))
    assert np.nanstd(fit.residual_mag) < 0.5 * np.nanstd(flat.residual_mag)


def test_zero_point_errors_are_the_scatter_of_repeated_surveys() -> None:
    config = replace(CONFIG, camera_order=0)
    pulls = []
    for seed in range(25):
        survey = Survey(100 + seed)
        survey.instrumental += survey.camera.evaluate(y=survey.y, x=survey.x)
        fit = fit_joint_photometry(survey.observations(), replace(config, err_floor_mag=0.0))
        miss = fit.zero_point_mag - survey.zero_point
        pulls.append((miss - miss.mean()) / fit.zero_point_err_mag)
    assert np.std(pulls) == pytest.approx(1.0, rel=0.15)


def test_the_catalogue_sets_the_common_zero_point() -> None:
    survey = Survey(6)
    plain = fit_joint_photometry(survey.observations(), CONFIG)
    survey.reference += 0.7
    moved = fit_joint_photometry(survey.observations(), CONFIG)
    np.testing.assert_allclose(moved.zero_point_mag - plain.zero_point_mag, 0.7, atol=1e-9)
    np.testing.assert_allclose(moved.star_mag - plain.star_mag, 0.7, atol=1e-9)
    np.testing.assert_allclose(moved.residual_mag, plain.residual_mag, atol=1e-12)


def test_outliers_are_clipped_and_change_little() -> None:
    survey = Survey(7)
    plain = fit_joint_photometry(survey.observations(), CONFIG)
    wrong = np.arange(0, len(survey.y), 40)
    survey.instrumental[wrong] -= 0.3
    fit = fit_joint_photometry(survey.observations(), CONFIG)
    assert not fit.used[wrong].any()
    assert np.abs(fit.zero_point_mag - plain.zero_point_mag).max() < 0.003


def test_reserved_stars_do_not_shape_the_fit() -> None:
    survey = Survey(8)
    survey.reference[reserve_stars(N_STARS, fraction=0.2, seed=0)] = np.nan
    plain = fit_joint_photometry(survey.observations(), CONFIG)
    held_out = plain.reserved[survey.star]
    assert 0.1 < held_out.mean() < 0.3
    survey.instrumental[held_out] += 0.01 * survey.x[held_out] / SHAPE[1]
    fit = fit_joint_photometry(survey.observations(), CONFIG)
    np.testing.assert_allclose(fit.zero_point_mag, plain.zero_point_mag, atol=1e-9)


def test_faint_stars_get_magnitudes_without_shaping_the_fit() -> None:
    survey = Survey(9)
    faint = survey.star >= 150
    survey.err[faint] = 0.2
    survey.reference[150:] = np.nan
    plain = fit_joint_photometry(survey.observations(), CONFIG)
    survey.instrumental[faint] += 0.1 * survey.visit[faint]
    fit = fit_joint_photometry(survey.observations(), CONFIG)
    np.testing.assert_allclose(fit.zero_point_mag, plain.zero_point_mag, atol=1e-9)
    assert np.isfinite(fit.star_mag[np.unique(survey.star)]).all()
    assert fit.star_mag_err[160] > 5 * fit.star_mag_err[10]


def test_bad_fluxes_and_visits_without_stars_are_named_nan() -> None:
    survey = Survey(10)
    observations = survey.observations()
    observations.flux[survey.visit == 4] = -1.0
    observations.flux[5] = np.nan
    fit = fit_joint_photometry(observations, CONFIG)
    assert np.flatnonzero(np.isnan(fit.zero_point_mag)).tolist() == [4]
    assert np.isnan(fit.residual_mag[survey.visit == 4]).all()
    assert not fit.used[5]
    assert np.isfinite(fit.zero_point_err_mag[:4]).all()


def test_a_survey_without_repeats_is_refused() -> None:
    survey = Survey()
    once = replace(
        survey.observations(),
        star=np.arange(len(survey.y)),
        reference_mag=np.full(len(survey.y), np.nan),
    )
    with pytest.raises(AlgorithmError, match="No star has two observations"):
        fit_joint_photometry(once, CONFIG)


def test_the_same_observations_give_the_same_bits() -> None:
    first, second = (fit_joint_photometry(Survey(2).observations(), CONFIG) for _ in range(2))
    assert first.zero_point_mag.tobytes() == second.zero_point_mag.tobytes()
    assert first.residual_mag.tobytes() == second.residual_mag.tobytes()
