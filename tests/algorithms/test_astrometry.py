"""The fit of a map to stars of known position."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from lsstpipe.algorithms.astrometry import (
    MatchedStars,
    TanSipConfig,
    estimate_error_floor,
    fit_tan_sip,
    fit_to_map,
)
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.polynomial import Polynomial
from lsstpipe.geometry.wcs import SkyWcs

SHAPE = (736, 1092)
CONFIG = TanSipConfig()


def true_map(distortion_pix: float, *, ra: float = 285.97, order: int = 3) -> SkyWcs:
    rng = np.random.default_rng(12)
    linear = SkyWcs((300.0, 500.0), (ra, 36.7), ((6.6e-4, -2e-5), (2.1e-5, 6.59e-4)))
    tables: list[Polynomial] = []
    for _ in range(2):
        table = np.zeros((order + 1, order + 1))
        for p in range(order + 1):
            q = order - p
            table[p, q] = rng.choice([-1, 1]) * distortion_pix / 500.0**order
        tables.append(tuple(tuple(row) for row in table.tolist()))
    return SkyWcs.with_distortion(linear, *tables, shape=SHAPE)


def stars_of(
    wcs: SkyWcs, n: int, *, err_pix: float = 0.05, seed: int = 1, noise: float = 1.0
) -> MatchedStars:
    rng = np.random.default_rng(seed)
    y, x = rng.uniform(0, SHAPE[0], n), rng.uniform(0, SHAPE[1], n)
    ra, dec = wcs.pixel_to_sky(y=y, x=x)
    y, x = y + noise * rng.normal(0, err_pix, n), x + noise * rng.normal(0, err_pix, n)
    return MatchedStars(y, x, np.full(n, err_pix), ra, dec)


def miss_pix(wcs: SkyWcs, truth: SkyWcs) -> float:
    y, x = (g.ravel() for g in np.meshgrid(np.arange(0, 736, 35.0), np.arange(0, 1092, 35.0)))
    found_y, found_x = wcs.sky_to_pixel(*truth.pixel_to_sky(y=y, x=x))
    return float(np.hypot(found_y - y, found_x - x).max())


@pytest.mark.parametrize("ra", [285.97, 0.001, 359.99])
def test_a_fit_to_exact_stars_is_the_map_that_made_them(ra: float) -> None:
    truth = true_map(3.0, ra=ra)
    fit = fit_tan_sip(stars_of(truth, 200, noise=0.0), shape=SHAPE, config=CONFIG)
    assert fit.order == 3
    # Another reference pixel makes a SIP of the same order differ in higher terms.
    assert miss_pix(fit.wcs, truth) < 1e-3
    assert fit.wcs.crpix == ((SHAPE[0] - 1) / 2, (SHAPE[1] - 1) / 2)
    assert fit.n_used == 200


def test_the_residuals_are_measured_minus_predicted() -> None:
    stars = stars_of(true_map(0.0), 100)
    fit = fit_tan_sip(stars, shape=SHAPE, config=CONFIG)
    y, x = fit.wcs.sky_to_pixel(stars.ra_deg, stars.dec_deg)
    np.testing.assert_allclose(fit.residual_y, stars.y - y, atol=1e-12)
    np.testing.assert_allclose(fit.residual_x, stars.x - x, atol=1e-12)


def test_the_rms_is_the_centroid_error_whatever_the_count_of_stars() -> None:
    for n in (6, 12, 400):
        squares = []
        for seed in range(60 if n < 100 else 5):
            stars = stars_of(true_map(0.0), n, err_pix=0.1, seed=seed)
            config = replace(CONFIG, clip_sigma=np.inf, max_order=1)
            fit = fit_tan_sip(stars, shape=SHAPE, config=config)
            squares += [fit.rms_y_pix**2, fit.rms_x_pix**2]
        assert np.sqrt(np.mean(squares)) == pytest.approx(0.1, rel=0.1)
    arcsec = 0.1 * fit.wcs.pixel_scale_arcsec
    assert fit.rms_arcsec == pytest.approx((arcsec, arcsec), rel=0.15)


def test_few_or_undistorted_stars_get_no_distortion() -> None:
    for seed in range(20):
        few = fit_tan_sip(stars_of(true_map(5.0), 12, seed=seed), shape=SHAPE, config=CONFIG)
        assert few.order == 1
    plain = [
        fit_tan_sip(stars_of(true_map(0.0), 40, seed=seed), shape=SHAPE, config=CONFIG).order
        for seed in range(40)
    ]
    assert np.mean(np.array(plain) == 1) >= 0.9


def test_a_distortion_that_the_stars_show_is_fitted() -> None:
    truth = true_map(2.0)
    fit = fit_tan_sip(stars_of(truth, 60), shape=SHAPE, config=CONFIG)
    assert fit.order == 3
    assert miss_pix(fit.wcs, truth) < 0.3


def test_outliers_do_not_move_the_map() -> None:
    truth = true_map(0.0)
    stars = stars_of(truth, 60)
    wrong = np.arange(0, 60, 6)
    stars.x[wrong] += 1.5
    fit = fit_tan_sip(stars, shape=SHAPE, config=CONFIG)
    assert not fit.used[wrong].any()
    assert fit.n_used >= 48
    assert miss_pix(fit.wcs, truth) < 0.12


def test_precise_stars_weigh_more() -> None:
    truth = true_map(0.0)
    stars = stars_of(truth, 40, err_pix=0.05)
    faint = np.arange(40) % 2 == 0
    rng = np.random.default_rng(3)
    stars.y[faint] += rng.normal(0, 0.8, 20)
    stars.x[faint] += rng.normal(0, 0.8, 20)
    config = replace(CONFIG, clip_sigma=np.inf, max_order=1)
    equal = fit_tan_sip(stars, shape=SHAPE, config=config)
    err = np.where(faint, 0.8, 0.05)
    weighted = fit_tan_sip(replace(stars, err_pix=err), shape=SHAPE, config=config)
    assert miss_pix(weighted.wcs, truth) < 0.5 * miss_pix(equal.wcs, truth)


@pytest.mark.parametrize("floor", [0.004, 0.02, 0.3])
def test_the_floor_of_errors_is_found_in_spite_of_outliers(floor: float) -> None:
    rng = np.random.default_rng(8)
    found = []
    for _ in range(40):
        err = 10 ** rng.uniform(-3.0, -1.0, 300)
        miss = np.hypot(*(rng.normal(size=(2, 300)) * np.hypot(err, floor)))
        miss[:15] += rng.uniform(0.5, 3.0, 15)
        found.append(estimate_error_floor(miss, err))
    assert np.median(found) == pytest.approx(floor, rel=0.15)
    assert np.std(found) < 0.25 * floor


def test_errors_that_explain_everything_get_no_floor_that_matters() -> None:
    rng = np.random.default_rng(9)
    for _ in range(40):
        err = 10 ** rng.uniform(-3.0, -1.0, 300)
        miss = np.hypot(*(rng.normal(size=(2, 300)) * err))
        assert estimate_error_floor(miss, err) < np.quantile(err, 0.2)


@pytest.mark.parametrize("floor", [0.0, 0.01, 0.05])
def test_the_map_is_as_good_as_one_that_knows_the_floor(floor: float) -> None:
    truth, misses = true_map(2.0), defaultdict(list)
    y, x = (g.ravel() for g in np.meshgrid(np.linspace(0, 735, 9), np.linspace(0, 1091, 9)))
    sky = truth.pixel_to_sky(y=y, x=x)
    estimating = replace(CONFIG, min_gain=-np.inf)
    given_all = replace(estimating, min_floor_stars=1000, err_floor_pix=0.0)
    configs = {"estimated": estimating, "known": given_all, "equal": given_all}
    rng = np.random.default_rng(4)
    for seed in range(30):
        exact = stars_of(truth, 200, noise=0.0, seed=seed)
        err = 10 ** rng.uniform(-2.7, -0.7, 200)
        noise = rng.normal(size=(2, 200)) * np.hypot(err, floor)
        stars = replace(exact, y=exact.y + noise[0], x=exact.x + noise[1], err_pix=err)
        known = replace(stars, err_pix=np.hypot(err, floor))
        equal = replace(stars, err_pix=np.ones(200))
        for name, given in (("estimated", stars), ("known", known), ("equal", equal)):
            wcs = fit_tan_sip(given, shape=SHAPE, config=configs[name]).wcs
            found_y, found_x = wcs.sky_to_pixel(*sky)
            misses[name].append(np.hypot(found_y - y, found_x - x))
    rms = {name: np.sqrt(np.mean(np.square(values))) for name, values in misses.items()}
    assert rms["estimated"] < 1.1 * rms["known"]
    assert rms["estimated"] < 0.8 * rms["equal"]


@pytest.mark.parametrize(("middle_pix", "gain"), [(0.006, (0.0, 0.7)), (0.1, (0.9, 1.03))])
def test_saturated_stars_count_by_how_well_their_middle_holds(
    middle_pix: float, gain: tuple[float, float]
) -> None:
    # Half of 120 stars are saturated. Where their middle is good they have nine tenths of the
    # weight; where it is bad they hardly count, and do no harm.
    saturated = np.arange(120) % 2 == 0
    exact = stars_of(true_map(0.0), 120, noise=0.0)
    err = np.where(saturated, 0.001, 0.02)
    own, photons, without = [], [], []
    for seed in range(40):
        y, x = np.random.default_rng(seed).normal(size=(2, 120)) * np.where(
            saturated, middle_pix, 0.02
        )
        stars = replace(exact, y=exact.y + y, x=exact.x + x, err_pix=err)
        known = replace(stars, is_saturated=saturated)
        none = replace(stars, err_pix=np.where(saturated, np.nan, err))
        for given, misses in ((known, own), (stars, photons), (none, without)):
            wcs = fit_tan_sip(given, shape=SHAPE, config=replace(CONFIG, max_order=1)).wcs
            misses.append(miss_pix(wcs, true_map(0.0)))
    assert gain[0] < np.mean(own) / np.mean(without) < gain[1]
    assert np.mean(own) < 1.02 * np.mean(photons)


def test_stars_without_a_position_are_left_out() -> None:
    stars = stars_of(true_map(0.0), 30)
    stars.ra_deg[3] = np.nan
    stars.y[7] = np.nan
    fit = fit_tan_sip(stars, shape=SHAPE, config=CONFIG)
    assert not fit.used[[3, 7]].any()
    assert fit.n_used >= 26


def test_three_stars_are_too_few() -> None:
    with pytest.raises(AlgorithmError, match="at least 4"):
        fit_tan_sip(stars_of(true_map(0.0), 3), shape=SHAPE, config=CONFIG)


def test_a_map_is_copied_from_a_grid() -> None:
    truth = true_map(1.0)
    y, x = (g.ravel() for g in np.meshgrid(np.linspace(0, 735, 12), np.linspace(0, 1091, 12)))
    copy = fit_to_map(truth.pixel_to_sky(y=y, x=x), y=y, x=x, order=4, shape=SHAPE)
    assert miss_pix(copy, truth) < 1e-4
