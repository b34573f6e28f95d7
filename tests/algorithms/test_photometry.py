"""Zero points against a catalogue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lsstpipe.algorithms.photometry import (
    ZeroPointConfig,
    fit_zero_point,
    measure_variation,
)
from lsstpipe.errors import AlgorithmError

CONFIG = ZeroPointConfig()


def test_exact_stars_give_the_exact_zero_point() -> None:
    mag = np.linspace(12, 16, 9)
    flux = 10.0 ** (-0.4 * (mag - 25.3))
    fit = fit_zero_point(flux, 0.01 * flux, mag, config=CONFIG)
    assert fit.zero_point_mag == pytest.approx(25.3, abs=1e-12)
    assert fit.n_used == 9
    assert fit.scatter_mag < 1e-9


def test_a_star_of_zero_ab_is_3631_jansky() -> None:
    mag = np.linspace(12, 16, 9)
    flux = 10.0 ** (-0.4 * (mag - 25.3))
    fit = fit_zero_point(flux, 0.01 * flux, mag, config=CONFIG)
    flux_of_zero_mag = 10.0 ** (0.4 * 25.3)
    assert flux_of_zero_mag * fit.njy_per_unit == pytest.approx(3631e9, rel=2e-4)


def test_the_error_is_the_scatter_of_repeated_zero_points() -> None:
    rng = np.random.default_rng(5)
    mag = np.full(50, 14.0)
    fits = []
    for _ in range(300):
        flux = 10.0 ** (-0.4 * (mag + rng.normal(0, 0.2, 50) - 25.0))
        fits.append(fit_zero_point(flux, 0.01 * flux, mag, config=CONFIG))
    found = np.std([fit.zero_point_mag for fit in fits])
    assert np.mean([fit.err_mag for fit in fits]) == pytest.approx(found, rel=0.15)
    assert np.mean([fit.scatter_mag for fit in fits]) == pytest.approx(0.2, rel=0.05)
    assert np.mean([fit.zero_point_mag for fit in fits]) == pytest.approx(25.0, abs=0.01)


def test_variables_and_wrong_matches_do_not_move_the_zero_point() -> None:
    rng = np.random.default_rng(6)
    mag = rng.uniform(12, 15, 60)
    flux = 10.0 ** (-0.4 * (mag + rng.normal(0, 0.03, 60) - 25.0))
    flux[:12] *= rng.uniform(3, 30, 12)
    fit = fit_zero_point(flux, 0.01 * flux, mag, config=CONFIG)
    assert not fit.used[:12].any()
    assert fit.zero_point_mag == pytest.approx(25.0, abs=0.02)


def test_faint_negative_and_unknown_stars_are_left_out() -> None:
    mag = np.full(8, 14.0)
    flux = np.full(8, 100.0)
    err = np.full(8, 1.0)
    flux[0], err[1], mag[2], flux[3], err[4] = -5.0, 11.0, np.nan, np.nan, 0.0
    fit = fit_zero_point(flux, err, mag, config=CONFIG)
    assert fit.used.tolist() == [False] * 5 + [True] * 3


def test_too_few_stars_make_no_zero_point() -> None:
    two = np.full(2, 10.0)
    with pytest.raises(AlgorithmError, match=r"2 stars are usable .* at least 3"):
        fit_zero_point(two, 0.1 * two, two, config=CONFIG)
    assert fit_zero_point(two, 0.1 * two, two, config=replace(CONFIG, min_stars=2)).n_used == 2


def test_an_even_zero_point_is_not_said_to_vary() -> None:
    rng = np.random.default_rng(3)
    false = 0
    for _ in range(200):
        y, x = rng.uniform(0, 1000, (2, 200))
        found = measure_variation(25.0 + rng.normal(0, 0.05, 200), y=y, x=x, shape=(1000, 1000))
        false += found.is_varying
    assert false <= 2


def test_a_cloud_over_part_of_a_detector_is_measured() -> None:
    rng = np.random.default_rng(4)
    y, x = rng.uniform(0, 4000, 600), rng.uniform(0, 2000, 600)
    zero_point = 25.0 - 0.2 * (y > 2000) + rng.normal(0, 0.03, 600)
    found = measure_variation(zero_point, y=y, x=x, shape=(4000, 2000))
    assert found.is_varying
    # Two halves 0.2 mag apart have an rms of 0.1.
    assert found.rms_mag == pytest.approx(0.1, abs=0.01)


def test_few_stars_tell_nothing_of_a_variation() -> None:
    found = measure_variation(
        np.array([1.0, 2.0, np.nan]), y=np.zeros(3), x=np.zeros(3), shape=(10, 10)
    )
    assert np.isnan(found.rms_mag)
    assert not found.is_varying
