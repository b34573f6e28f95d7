from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.depth import depth_gain, limiting_magnitude, optimal_depth_gain


def test_the_limit_is_the_magnitude_of_five_errors() -> None:
    assert limiting_magnitude(20.0) == pytest.approx(31.4 - 2.5 * np.log10(100.0))
    assert np.isnan(limiting_magnitude(0.0))


def test_the_mean_of_equal_visits_gains_nothing_over_theory() -> None:
    visits = np.full((3, 24), 10.0)
    gain = depth_gain(np.full(3, 10.0 / np.sqrt(24.0)), visits, np.full(3, 24.0))
    np.testing.assert_allclose(gain, 0.0, atol=1e-12)


def test_a_shallow_coadd_is_negative_by_its_loss() -> None:
    visits = np.full((1, 16), 10.0)
    assert depth_gain(np.array([2.5 * 1.2]), visits, np.array([16.0]))[0] == pytest.approx(
        -2.5 * np.log10(1.2)
    )


def test_objects_whose_visits_are_not_those_of_the_coadd_are_not_compared() -> None:
    visits = np.array([[10.0, np.nan], [10.0, 10.0]])
    gain = depth_gain(np.array([5.0, 5.0]), visits, np.array([2.0, 2.0]))
    assert np.isnan(gain[0])
    assert np.isfinite(gain[1])


def test_no_weighted_mean_is_deeper_than_the_best(rng: np.random.Generator) -> None:
    error = rng.uniform(5.0, 20.0, (50, 12))
    weight = rng.dirichlet(np.ones(12), 50)
    coadd = np.sqrt(np.sum(weight**2 * error**2, axis=1))
    assert np.all(optimal_depth_gain(coadd, error) <= 1e-12)
    best = 1.0 / np.sqrt(np.sum(1.0 / error**2, axis=1))
    np.testing.assert_allclose(optimal_depth_gain(best, error), 0.0, atol=1e-12)
