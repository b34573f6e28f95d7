"""Noise and covariances of simulated pairs of flats against what was put in."""

import numpy as np
import pytest

from lsstpipe.algorithms.flat_pairs import measure_covariances, measure_noise, pair_up

GAIN, READ_NOISE = 1.7, 4.0
SHAPE = (256, 320)


def make_flat(rng: np.random.Generator, level: float, *, slope: float = 0.0) -> np.ndarray:
    """ADU; a response with structure, and a slope of the light."""
    response = 1 + 0.02 * np.random.default_rng(1).standard_normal(SHAPE)
    light = 1 + slope * np.linspace(-1, 1, SHAPE[1])
    electrons = rng.poisson(level * GAIN * response * light)
    return (electrons / GAIN + rng.normal(0, READ_NOISE, SHAPE)).astype(np.float32)


@pytest.mark.parametrize(("second", "slope"), [(20000.0, 0.0), (13000.0, 0.02)])
def test_the_variance_is_that_of_photons_whatever_the_lamp_did(
    rng: np.random.Generator, second: float, slope: float
) -> None:
    pair = measure_noise(make_flat(rng, 20000.0), make_flat(rng, second, slope=slope))
    expected = pair.level / GAIN + pair.readout_factor * READ_NOISE**2
    assert pair.variance_err / expected == pytest.approx(np.sqrt(2 / np.prod(SHAPE)), rel=0.02)
    assert abs(pair.variance - expected) < 4 * pair.variance_err


def test_cosmic_rays_stars_and_bad_pixels_do_not_count(rng: np.random.Generator) -> None:
    first, second = make_flat(rng, 20000.0), make_flat(rng, 20000.0)
    clean = measure_noise(first, second)
    first[50, 40:60] += 3000.0
    second[100:108, 200:208] += 400.0
    first[:, 7] = np.nan
    dirty = measure_noise(first, second)
    assert abs(dirty.variance - clean.variance) < 1.5 * clean.variance_err


def test_white_noise_has_no_covariance(rng: np.random.Generator) -> None:
    pair = make_flat(rng, 20000.0), make_flat(rng, 20000.0, slope=0.01)
    level, covariance, error = measure_covariances(*pair, max_lag=4)
    assert level == pytest.approx(20000.0, rel=1e-3)
    pull = (covariance / error).ravel()[1:]
    assert np.abs(pull).max() < 4
    assert 0.5 < pull.std() < 1.5


def test_covariances_of_noise_that_is_shared_are_those_of_its_kernel(
    rng: np.random.Generator,
) -> None:
    """x(i, j) = n(i, j) + n(i, j + 1) / 10 has a covariance of a tenth along x, none along y."""
    noise = rng.normal(0, 100, (2, 300, 301))
    first, second = (20000 + noise[..., :-1] + 0.1 * noise[..., 1:]).astype(np.float32)
    _, covariance, error = measure_covariances(first, second, max_lag=2)
    assert abs(covariance[0, 1] - 1000) < 4 * error[0, 1]
    assert abs(covariance[1, 0]) < 4 * error[1, 0]
    assert covariance[0, 0] == pytest.approx(10100, rel=0.02)


def test_flats_of_one_time_are_paired_before_those_of_one_level() -> None:
    keys = [("V", 2.0), ("V", 1.0), ("V", 2.0), ("B", 1.0), ("V", 1.2), ("V", 9.0)]
    levels = [200.0, 100.0, 210.0, 100.0, 120.0, np.nan]
    assert pair_up(keys, levels, max_ratio=1.3) == [(1, 4), (0, 2)]
    assert pair_up(keys, levels, max_ratio=1.1) == [(0, 2)]
