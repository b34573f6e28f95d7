from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.repeatability import (
    MMAG_PER_RELATIVE,
    bootstrap_median,
    measure_repeatability,
    pull_width,
    systematic_floor,
)

N_STAR, N_VISIT = 60, 24


def simulate(rng: np.random.Generator, noise: float, floor: float) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    flux = 1000.0 * (1.0 + np.hypot(noise, floor) * rng.normal(size=(N_STAR, N_VISIT)))
    return flux, np.full(flux.shape, 1000.0 * noise)


def test_scatter_and_expected_scatter_are_those_of_the_simulation(rng: np.random.Generator) -> None:
    flux, error = simulate(rng, 0.01, 0.0)
    found = measure_repeatability(flux, error, np.ones(flux.shape, bool))
    assert np.sqrt(np.mean(found.rms_mmag**2)) == pytest.approx(10.86, rel=0.06)
    np.testing.assert_allclose(found.expected_mmag, 10.86, rtol=0.02)
    assert set(found.n.tolist()) == {N_VISIT}


def test_fluxes_that_do_not_count_change_nothing(rng: np.random.Generator) -> None:
    flux, error = simulate(rng, 0.01, 0.0)
    good = np.ones(flux.shape, bool)
    good[:, 20:] = False
    spoiled = np.where(good, flux, -1e9)
    found = measure_repeatability(spoiled, error, good)
    alone = measure_repeatability(flux[:, :20], error[:, :20], good[:, :20])
    np.testing.assert_allclose(found.rms_mmag, alone.rms_mmag, rtol=1e-12)


def test_stars_with_one_flux_or_none_have_no_scatter() -> None:
    good = np.array([[True, False], [False, False], [True, True]])
    found = measure_repeatability(np.array([[1.0, 1.0]] * 3), np.full((3, 2), 0.1), good)
    np.testing.assert_array_equal(np.isfinite(found.rms_mmag), [False, False, True])


@pytest.mark.parametrize("floor", [0.002, 0.005])
def test_the_floor_is_what_noise_does_not_explain(floor: float) -> None:
    pulls = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        flux, error = simulate(rng, 0.003, floor)
        found = measure_repeatability(flux, error, np.ones(flux.shape, bool))
        result = systematic_floor(found.rms_mmag, found.expected_mmag, found.n, rng)
        pulls.append((result.value - MMAG_PER_RELATIVE * floor) / result.error)
    assert abs(np.mean(pulls)) < 0.7
    assert np.std(pulls) < 1.6


def test_there_is_no_floor_where_there_is_only_noise(rng: np.random.Generator) -> None:
    flux, error = simulate(rng, 0.005, 0.0)
    found = measure_repeatability(flux, error, np.ones(flux.shape, bool))
    result = systematic_floor(found.rms_mmag, found.expected_mmag, found.n, rng)
    assert result.value < 2.0
    assert result.n == N_STAR


def test_a_few_variable_stars_do_not_raise_the_floor(rng: np.random.Generator) -> None:
    flux, error = simulate(rng, 0.003, 0.004)
    flux[:5] *= 1.0 + 0.2 * np.sin(np.arange(N_VISIT))
    found = measure_repeatability(flux, error, np.ones(flux.shape, bool))
    result = systematic_floor(found.rms_mmag, found.expected_mmag, found.n, rng)
    assert result.value == pytest.approx(4.34, abs=0.8)


def test_an_empty_sample_has_no_value(rng: np.random.Generator) -> None:
    empty = np.empty(0)
    assert systematic_floor(empty, empty, empty.astype(np.int64), rng).n == 0
    assert np.isnan(bootstrap_median(empty, rng).value)
    assert pull_width(np.ones((1, 2)), np.ones((1, 2)), np.ones((1, 2), bool), rng).n == 0


def test_the_error_of_a_median_is_that_of_theory(rng: np.random.Generator) -> None:
    result = bootstrap_median(rng.normal(3.0, 2.0, 1000), rng)
    assert result.error == pytest.approx(1.2533 * 2.0 / np.sqrt(1000), rel=0.25)
    assert abs(result.value - 3.0) < 4 * result.error


@pytest.mark.parametrize("factor", [1.0, 0.5, 2.0])
def test_the_pull_width_tells_by_how_much_errors_are_wrong(
    factor: float, rng: np.random.Generator
) -> None:
    flux, error = simulate(rng, 0.1, 0.0)
    good = rng.random(flux.shape) > 0.2
    result = pull_width(np.where(good, flux, np.nan), factor * error, good, rng)
    assert result.value == pytest.approx(1.0 / factor, rel=0.06)
    assert result.n == int(good.sum())


def test_pulls_are_freed_of_their_share_in_the_mean(rng: np.random.Generator) -> None:
    flux = rng.normal(0.0, 1.0, (3000, 3))
    result = pull_width(flux, np.ones(flux.shape), np.ones(flux.shape, bool), rng)
    assert result.value == pytest.approx(1.0, abs=0.03)
