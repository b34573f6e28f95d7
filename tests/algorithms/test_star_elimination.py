"""Least squares with the stars eliminated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse import csr_array

from lsstpipe.algorithms.star_elimination import (
    StarModel,
    reserve_stars,
    solve_star_model,
    usual,
    without_worst,
)

Array = npt.NDArray[np.float64]


def random_model(seed: int) -> tuple[StarModel, Array]:
    rng = np.random.default_rng(seed)
    n, n_parameters, n_stars = 80, 5, 12
    design = rng.normal(size=(n, n_parameters)) * (rng.random((n, n_parameters)) < 0.5)
    known = rng.random(n_stars) < 0.4
    model = StarModel(
        csr_array(design),
        rng.normal(size=n),
        rng.integers(0, n_stars, n),
        rng.normal(size=n_stars),
        np.where(known, rng.uniform(0.5, 3, n_stars), 0.0),
        rng.uniform(0.1, 1.0, n_parameters),
    )
    return model, rng.uniform(0.2, 4.0, n)


def dense_solution(model: StarModel, weight: Array) -> tuple[Array, Array]:
    """Solve for parameters and stars at once, by rows of one dense system."""
    n_parameters, n_stars = len(model.prior_weight), len(model.reference_value)
    stars = np.eye(n_stars)
    rows = np.concatenate(
        [
            np.concatenate([model.design.toarray(), -stars[model.star]], axis=1),
            np.concatenate([np.zeros((n_stars, n_parameters)), -stars], axis=1),
            np.concatenate([np.eye(n_parameters), np.zeros((n_parameters, n_stars))], axis=1),
        ]
    )
    right = np.concatenate([-model.value, -model.reference_value, np.zeros(n_parameters)])
    scale = np.sqrt(np.concatenate([weight, model.reference_weight, model.prior_weight]))
    normal = (rows * scale[:, None]).T @ (rows * scale[:, None])
    solution = np.linalg.lstsq(rows * scale[:, None], right * scale, rcond=None)[0]
    return solution, np.linalg.inv(normal)[:n_parameters, :n_parameters]


def test_the_solution_is_that_of_the_whole_system() -> None:
    for seed in range(10):
        model, weight = random_model(seed)
        found = solve_star_model(
            model, weight=weight, fitted=np.ones(12, dtype=bool), n_covariance=3
        )
        expected, covariance = dense_solution(model, weight)
        np.testing.assert_allclose(found.parameters, expected[:5], atol=1e-10)
        np.testing.assert_allclose(found.star_value, expected[5:], atol=1e-10)
        np.testing.assert_allclose(found.covariance, covariance[:3, :3], atol=1e-10)


def test_stars_that_are_not_fitted_are_only_evaluated() -> None:
    model, weight = random_model(3)
    fitted = np.arange(12) % 3 != 0
    found = solve_star_model(model, weight=weight, fitted=fitted)
    alone = solve_star_model(
        StarModel(
            model.design,
            model.value,
            model.star,
            model.reference_value,
            np.where(fitted, model.reference_weight, 0.0),
            model.prior_weight,
        ),
        weight=np.where(fitted[model.star], weight, 0.0),
        fitted=np.ones(12, dtype=bool),
    )
    np.testing.assert_allclose(found.parameters, alone.parameters, atol=1e-12)
    assert np.isfinite(found.star_value).all()


def test_a_star_without_weight_has_no_value() -> None:
    model, weight = random_model(4)
    lonely = int(np.flatnonzero(model.reference_weight == 0)[0])
    weight[model.star == lonely] = 0.0
    found = solve_star_model(model, weight=weight, fitted=np.ones(12, dtype=bool))
    assert np.flatnonzero(np.isnan(found.star_value)).tolist() == [lonely]


@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.7, 1.0])
def test_the_reserve_has_its_share(fraction: float) -> None:
    reserved = reserve_stars(20_000, fraction=fraction, seed=3)
    spread = 4.0 * np.sqrt(fraction * (1.0 - fraction) / 20_000)
    assert abs(reserved.mean() - fraction) <= spread


def test_more_stars_do_not_change_who_is_reserved_but_another_seed_does() -> None:
    few, many = (reserve_stars(n, fraction=0.3, seed=1) for n in (100, 1000))
    np.testing.assert_array_equal(few, many[:100])
    other = reserve_stars(1000, fraction=0.3, seed=2)
    assert np.mean(many & other) == pytest.approx(0.09, abs=0.03)


def test_outliers_are_judged_by_the_robust_scale_but_not_below_the_errors() -> None:
    size = np.concatenate([np.linspace(-1, 1, 41), [4.0, -6.0, np.nan]])
    used = np.ones(44, dtype=bool)
    used[-1] = False
    assert usual(size, used, 5.0)[-3:].tolist() == [True, False, False]
    assert usual(10 * size, used, 5.0)[-3:].tolist() == [True, False, False]
    assert usual(np.array([5.5, 4.5]), np.zeros(2, dtype=bool), 5.0).tolist() == [False, True]


def test_only_the_worst_observation_of_each_star_goes() -> None:
    star = np.array([2, 2, 2, 0, 0, 1, 1, 1] + [3] * 20)
    size = np.array([9.0, -12.0, 1.0, 0.5, -0.5, np.nan, 30.0, 99.0] + [0.3] * 20)
    used = np.ones(28, dtype=bool)
    used[7] = False
    kept = without_worst(size, star, used, 5.0)
    assert kept[:8].tolist() == [True, False, True, True, True, False, True, False]
    assert kept[8:].all()


def test_without_outliers_all_observations_stay() -> None:
    used = np.array([True, True, False])
    kept = without_worst(np.array([1.0, -2.0, 99.0]), np.zeros(3, dtype=np.int64), used, 5.0)
    assert kept.tolist() == used.tolist()
