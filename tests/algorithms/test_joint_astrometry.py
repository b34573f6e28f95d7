"""The joint astrometric fit against a simulated survey."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms.joint_astrometry import (
    AstrometricObservations,
    JointAstrometryConfig,
    fit_joint_astrometry,
    measure_astrometric_repeatability,
)
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.polynomial import Polynomial
from lsstpipe.geometry.sphere import angular_separation_deg, gnomonic_deproject
from lsstpipe.geometry.wcs import SkyWcs

Array = npt.NDArray[np.float64]
SHAPE = (700, 1000)
CENTRE = (0.02, 36.7)
SCALE = 2.4 / 3600.0
CONFIG = JointAstrometryConfig(err_floor_pix=0.0, detector_prior_pix=1.0)
NO_DISTORTION: Polynomial = ()


def pointing(
    rng: np.random.Generator, *, shift_deg: tuple[float, float], turn_deg: float
) -> SkyWcs:
    ra, dec = gnomonic_deproject(*shift_deg, centre_deg=CENTRE)
    cosine, sine = SCALE * np.cos(np.deg2rad(turn_deg)), SCALE * np.sin(np.deg2rad(turn_deg))
    stretch = 1.0 + 1e-4 * rng.normal()
    cd = ((float(cosine * stretch), float(-sine)), (float(sine), float(cosine * stretch)))
    return SkyWcs((349.5, 499.5), (float(ra), float(dec)), cd)


def cubic(size_pix: float) -> tuple[Polynomial, Polynomial]:
    """A radial distortion that reaches a size at the side of the detector."""
    k = size_pix / 500.0**3
    zero = (0.0, 0.0, 0.0, 0.0)
    return (
        (zero, (0.0, 0.0, k, 0.0), zero, (k, 0.0, 0.0, 0.0)),
        ((0.0, 0.0, 0.0, k), zero, (0.0, k, 0.0, 0.0), zero),
    )


class Survey:
    """Stars seen by dithered, rotated visits of one or two detectors with a static distortion."""

    def __init__(
        self,
        seed: int = 1,
        *,
        err_pix: float = 0.02,
        distortion_pix: float = 0.0,
        n_detectors: int = 1,
        n_stars: int = 260,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.err_pix = err_pix
        xi, eta = rng.uniform(-0.6, 0.6, (2, n_stars))
        self.ra, self.dec = gnomonic_deproject(xi, eta, centre_deg=CENTRE)
        self.truth: dict[tuple[int, int], SkyWcs] = {}
        self.first: dict[tuple[int, int], SkyWcs] = {}
        columns: list[tuple[Array, ...]] = []
        for visit in range(10):
            shift, turn = rng.uniform(-0.05, 0.05, 2), float(rng.uniform(-3, 3))
            for detector in range(n_detectors):
                offset = (float(shift[0]), float(shift[1] + 0.3 * (detector - 0.5)))
                if n_detectors == 1:
                    offset = (float(shift[0]), float(shift[1]))
                linear = pointing(rng, shift_deg=offset, turn_deg=turn)
                tables = cubic(distortion_pix * (1 if detector == 0 else -1))
                exact = SkyWcs.with_distortion(linear, *tables, shape=SHAPE)
                key = (visit, detector)
                self.truth[key] = exact
                self.first[key] = self._rough(linear, rng)
                y, x = exact.sky_to_pixel(self.ra, self.dec)
                inside = (y > 0) & (y < SHAPE[0]) & (x > 0) & (x < SHAPE[1])
                star = np.flatnonzero(inside)
                ones = np.ones(len(star))
                columns.append((visit * ones, detector * ones, star, y[star], x[star]))
        visit_, detector_, star_, y_, x_ = (
            np.concatenate([part[k] for part in columns]) for k in range(5)
        )
        self.visit, self.detector = visit_.astype(np.int64), detector_.astype(np.int64)
        self.star = star_.astype(np.int64)
        self.y = y_ + rng.normal(0, err_pix, len(y_))
        self.x = x_ + rng.normal(0, err_pix, len(y_))
        known = rng.random(len(self.ra)) < 0.4
        self.reference_ra = np.where(known, self.ra, np.nan)
        self.reference_dec = np.where(known, self.dec, np.nan)

    @staticmethod
    def _rough(linear: SkyWcs, rng: np.random.Generator) -> SkyWcs:
        ra, dec = np.array(linear.crval_deg) + rng.normal(0, 0.3 * SCALE, 2)
        cd = np.array(linear.cd) * (1.0 + 2e-4 * rng.normal(size=(2, 2)))
        (c11, c12), (c21, c22) = cd.tolist()
        return SkyWcs(linear.crpix, (float(ra) % 360.0, float(dec)), ((c11, c12), (c21, c22)))

    def observations(self) -> AstrometricObservations:
        return AstrometricObservations(
            self.visit,
            self.detector,
            self.star,
            self.y,
            self.x,
            np.full(len(self.y), self.err_pix),
            self.first,
            self.reference_ra,
            self.reference_dec,
            np.full(len(self.ra), 0.05),
            {0: SHAPE, 1: SHAPE},
        )

    def miss_pix(self, maps: dict[tuple[int, int], SkyWcs]) -> float:
        """Largest error of the maps over their images."""
        y, x = (g.ravel() for g in np.meshgrid(np.arange(0, 700, 40.0), np.arange(0, 1000, 40.0)))
        worst = 0.0
        for key, exact in self.truth.items():
            found_y, found_x = maps[key].sky_to_pixel(*exact.pixel_to_sky(y=y, x=x))
            worst = max(worst, float(np.hypot(found_y - y, found_x - x).max()))
        return worst


def test_exact_centroids_give_the_true_maps_and_stars() -> None:
    survey = Survey(err_pix=1e-5)
    fit = fit_joint_astrometry(survey.observations(), replace(CONFIG, detector_order=1))
    assert survey.miss_pix(survey.first) > 0.5
    assert survey.miss_pix(fit.wcs) < 2e-3
    seen = np.unique(survey.star)
    miss = angular_separation_deg(
        fit.star_ra_deg[seen], fit.star_dec_deg[seen], survey.ra[seen], survey.dec[seen]
    )
    assert miss.max() / SCALE < 2e-3
    assert fit.max_map_error_pix < 1e-3


def test_the_static_distortion_is_found_without_any_in_the_first_maps() -> None:
    survey = Survey(2, distortion_pix=1.5, err_pix=0.005)
    plain = fit_joint_astrometry(survey.observations(), replace(CONFIG, detector_order=1))
    fit = fit_joint_astrometry(survey.observations(), CONFIG)
    assert survey.miss_pix(plain.wcs) > 0.5
    assert survey.miss_pix(fit.wcs) < 0.05
    assert fit.max_map_error_pix < 5e-3


def test_two_detectors_keep_their_own_distortions() -> None:
    survey = Survey(3, distortion_pix=1.0, n_detectors=2, err_pix=0.005)
    fit = fit_joint_astrometry(survey.observations(), CONFIG)
    assert survey.miss_pix(fit.wcs) < 0.15
    assert set(fit.wcs) == set(survey.truth)


def test_stars_repeat_to_the_centroid_error_also_when_reserved() -> None:
    survey = Survey(4, err_pix=0.02, n_stars=1200)
    fit = fit_joint_astrometry(survey.observations(), replace(CONFIG, visit_order=1))
    for found in (fit.bright_used, fit.bright_reserved):
        assert found.rms_y_pix == pytest.approx(0.02, rel=0.06)
        assert found.rms_x_pix == pytest.approx(0.02, rel=0.06)
        assert found.n_observations > 5 * found.n_stars
    n_repeated = int(np.sum(np.bincount(survey.star) >= 3))
    n_found = fit.bright_used.n_stars + fit.bright_reserved.n_stars
    assert n_found == pytest.approx(n_repeated, abs=2)


def test_star_errors_are_the_scatter_about_the_truth() -> None:
    survey = Survey(5, err_pix=0.05, n_stars=1200)
    config = replace(CONFIG, visit_order=1, detector_order=1)
    fit = fit_joint_astrometry(survey.observations(), config)
    free = np.flatnonzero(np.isnan(survey.reference_ra) & np.isfinite(fit.star_ra_deg))
    pull = (fit.star_dec_deg - survey.dec)[free] * 3600 / fit.star_err_arcsec[free]
    assert 1.4826 * np.median(np.abs(pull - np.median(pull))) == pytest.approx(1.0, abs=0.15)


def test_residuals_are_measured_minus_predicted() -> None:
    survey = Survey(6, distortion_pix=0.5)
    fit = fit_joint_astrometry(survey.observations(), CONFIG)
    for key, wcs in fit.wcs.items():
        here = (survey.visit == key[0]) & (survey.detector == key[1])
        star = survey.star[here]
        y, x = wcs.sky_to_pixel(fit.star_ra_deg[star], fit.star_dec_deg[star])
        np.testing.assert_allclose(fit.residual_y[here], survey.y[here] - y, atol=2e-3)
        np.testing.assert_allclose(fit.residual_x[here], survey.x[here] - x, atol=2e-3)


def test_wrong_centroids_and_wrong_catalogue_stars_are_left_out() -> None:
    survey = Survey(7)
    wrong = np.arange(0, len(survey.y), 40)
    survey.y[wrong] += 1.0
    moved = np.flatnonzero(np.isfinite(survey.reference_ra))[:6]
    survey.reference_dec[moved] += 2.0 / 3600.0
    fit = fit_joint_astrometry(survey.observations(), CONFIG)
    repeated = np.bincount(survey.star)[survey.star[wrong]] > 2
    assert not fit.used[wrong][repeated].any()
    assert not fit.reference_used[moved].any()
    assert survey.miss_pix(fit.wcs) < 0.1


def test_reserved_stars_do_not_shape_the_maps() -> None:
    survey = Survey(8)
    plain = fit_joint_astrometry(survey.observations(), CONFIG)
    held_out = plain.reserved[survey.star]
    assert 0.1 < held_out.mean() < 0.3
    survey.x[held_out] += 0.05 * survey.visit[held_out]
    fit = fit_joint_astrometry(survey.observations(), CONFIG)
    assert fit.wcs == plain.wcs
    assert fit.bright_reserved.rms_x_pix > 3 * plain.bright_reserved.rms_x_pix


def test_faint_stars_get_positions_without_shaping_the_maps() -> None:
    survey = Survey(9)
    observations = survey.observations()
    faint = survey.star >= 200
    observations.err_pix[faint] = 0.5
    plain = fit_joint_astrometry(observations, CONFIG)
    observations.y[faint] += 0.3 * survey.visit[faint]
    fit = fit_joint_astrometry(observations, CONFIG)
    assert fit.wcs == plain.wcs
    assert np.isfinite(fit.star_ra_deg[np.unique(survey.star)]).all()


def test_centroids_that_are_not_finite_are_ignored() -> None:
    survey = Survey(10)
    survey.y[:3] = np.nan
    fit = fit_joint_astrometry(survey.observations(), CONFIG)
    assert not fit.used[:3].any()
    assert np.isnan(fit.residual_y[:3]).all()
    assert survey.miss_pix(fit.wcs) < 0.1


def test_the_same_observations_give_the_same_bits() -> None:
    first, second = (fit_joint_astrometry(Survey(11).observations(), CONFIG) for _ in range(2))
    assert first.wcs == second.wcs
    assert first.star_ra_deg.tobytes() == second.star_ra_deg.tobytes()


def test_a_survey_without_repeats_or_without_catalogue_is_refused() -> None:
    survey = Survey(12)
    once = replace(survey.observations(), star=np.arange(len(survey.y)))
    n = len(survey.y)
    once = replace(
        once,
        reference_ra_deg=np.full(n, np.nan),
        reference_dec_deg=np.full(n, np.nan),
        reference_err_arcsec=np.ones(n),
    )
    with pytest.raises(AlgorithmError, match="No star has two good centroids"):
        fit_joint_astrometry(once, CONFIG)
    survey.reference_ra[:] = np.nan
    with pytest.raises(AlgorithmError, match=r"0 stars .* catalogue positions"):
        fit_joint_astrometry(survey.observations(), CONFIG)


def test_repeatability_is_the_pooled_deviation_from_each_mean() -> None:
    star = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2])
    residual = np.array([1.0, 2.0, 3.0, 5.0, 5.0, 7.0, 7.0, 50.0, -50.0])
    found = measure_astrometric_repeatability(
        star, (residual, 2 * residual), np.ones(9, dtype=bool)
    )
    assert found.rms_y_pix == pytest.approx(np.sqrt((2.0 + 4.0) / (7 - 2)))
    assert found.rms_x_pix == pytest.approx(2 * found.rms_y_pix)
    assert (found.n_stars, found.n_observations) == (2, 7)
    nothing = measure_astrometric_repeatability(star, (residual, residual), np.zeros(9, dtype=bool))
    assert np.isnan(nothing.rms_y_pix)
    assert nothing.n_stars == 0
