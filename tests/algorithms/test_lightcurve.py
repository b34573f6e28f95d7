from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.lightcurve import (
    EnsembleConfig,
    FluxMatrix,
    arrange_fluxes,
    choose_ensemble,
    make_lightcurve,
)
from lsstpipe.errors import AlgorithmError

N_STAR, N_VISIT, TARGET = 20, 24, 0
CONFIG = EnsembleConfig(min_flux_ratio=0.5, max_flux_ratio=10.0)


def make_matrix(seed: int = 0, noise: float = 0.003) -> FluxMatrix:
    rng = np.random.default_rng(seed)
    level = np.concatenate([[1000.0], rng.uniform(700.0, 5000.0, N_STAR - 1)])
    flux = level[:, None] * (1.0 + noise * rng.normal(size=(N_STAR, N_VISIT)))
    return FluxMatrix(
        np.arange(100, 100 + N_STAR),
        np.arange(N_VISIT),
        56000.0 + np.arange(N_VISIT) / 100.0,
        flux,
        noise * level[:, None] * np.ones(N_VISIT),
        np.ones((N_STAR, N_VISIT), bool),
    )


def test_rows_are_arranged_by_star_and_time_whatever_their_order(rng: np.random.Generator) -> None:
    matrix = make_matrix()
    star, visit = (grid.ravel() for grid in np.indices(matrix.flux.shape))
    order = rng.permutation(len(star))
    # Visit numbers need not grow with time.
    number = (N_VISIT - visit)[order]
    found = arrange_fluxes(
        (matrix.object_id[star[order]], number),
        matrix.mjd[visit[order]],
        matrix.flux[star[order], visit[order]],
        matrix.flux_err[star[order], visit[order]],
        np.ones(len(star), bool),
    )
    np.testing.assert_array_equal(found.flux, matrix.flux)
    np.testing.assert_array_equal(found.mjd, matrix.mjd)
    np.testing.assert_array_equal(found.visit, N_VISIT - np.arange(N_VISIT))


def test_missing_measurements_are_not_good() -> None:
    found = arrange_fluxes(
        ([1, 1, 2], [5, 6, 5]), np.array([1.0, 2.0, 1.0]), np.array([3.0, np.nan, 4.0]),
        np.array([0.1, 0.1, 0.0]), np.ones(3, bool),
    )  # fmt: skip
    np.testing.assert_array_equal(found.good, [[True, False], [False, False]])


def test_the_target_is_never_its_own_comparison_star() -> None:
    assert TARGET not in choose_ensemble(make_matrix(), TARGET, CONFIG).rows


def test_a_change_that_all_stars_share_cancels_exactly() -> None:
    matrix = make_matrix()
    cloud = 1.0 - 0.3 * np.sin(np.arange(N_VISIT)) ** 2
    dimmed = FluxMatrix(
        matrix.object_id, matrix.visit, matrix.mjd, matrix.flux * cloud, matrix.flux_err * cloud,
        matrix.good,
    )  # fmt: skip
    ensemble = choose_ensemble(matrix, TARGET, CONFIG)
    clear = make_lightcurve(matrix, TARGET, ensemble)
    cloudy = make_lightcurve(dimmed, TARGET, ensemble)
    # Each star is divided by its own median, which the cloud moves by its own amount.
    np.testing.assert_allclose(cloudy.flux, clear.flux, atol=2e-3)
    np.testing.assert_allclose(np.std(cloudy.flux), np.std(clear.flux), rtol=0.05)


def test_a_dip_of_the_target_keeps_its_depth() -> None:
    matrix = make_matrix(noise=1e-5)
    matrix.flux[TARGET, 8:14] *= 0.975
    curve = make_lightcurve(matrix, TARGET, choose_ensemble(matrix, TARGET, CONFIG))
    assert np.mean(curve.flux[8:14]) / np.mean(curve.flux[[*range(8), *range(14, 24)]]) == (
        pytest.approx(0.975, abs=1e-4)
    )


def test_variable_stars_are_left_out_even_bright_ones() -> None:
    matrix = make_matrix()
    matrix.flux[3] *= 1.0 + 0.05 * np.sin(np.arange(N_VISIT) / 3.0)
    matrix.flux[4] *= 5.0
    matrix.flux[4] *= 1.0 + 0.1 * np.linspace(-1, 1, N_VISIT)
    ensemble = choose_ensemble(matrix, TARGET, EnsembleConfig(0.5, 50.0))
    assert not {3, 4} & set(ensemble.rows.tolist())
    assert ensemble.n_variable == 2
    assert len(ensemble.rows) == N_STAR - 3


def test_stars_that_are_flagged_once_or_of_another_brightness_are_left_out() -> None:
    matrix = make_matrix()
    matrix.good[5, 7] = False
    matrix.flux[6] *= 0.01
    matrix.flux[7] *= 100.0
    assert not {5, 6, 7} & set(choose_ensemble(matrix, TARGET, CONFIG).rows.tolist())


def test_a_visit_without_the_target_does_not_cost_comparison_stars() -> None:
    matrix = make_matrix()
    matrix.good[TARGET, 3] = False
    matrix.good[5, 3] = False
    ensemble = choose_ensemble(matrix, TARGET, CONFIG)
    assert 5 in ensemble.rows
    assert 3 not in make_lightcurve(matrix, TARGET, ensemble).visit


def test_noisier_stars_weigh_less() -> None:
    matrix = make_matrix()
    rng = np.random.default_rng(9)
    matrix.flux_err[10] *= 4.0
    matrix.flux[10] *= 1.0 + 0.012 * rng.normal(size=N_VISIT)
    ensemble = choose_ensemble(matrix, TARGET, CONFIG)
    weight = dict(zip(ensemble.rows.tolist(), ensemble.weight.tolist(), strict=True))
    assert weight[10] < 0.25 * np.median(ensemble.weight)
    assert ensemble.weight.sum() == pytest.approx(1.0)


def test_scatter_and_errors_agree_when_there_is_only_noise() -> None:
    pulls = []
    for seed in range(20):
        matrix = make_matrix(seed)
        ensemble = choose_ensemble(matrix, TARGET, CONFIG)
        for star in (TARGET, int(ensemble.rows[0])):
            curve = make_lightcurve(matrix, star, ensemble)
            pulls.append((curve.flux - curve.flux.mean()) / curve.flux_err)
    assert 0.9 < np.std(np.concatenate(pulls)) < 1.05


def test_jitter_that_errors_do_not_know_is_found() -> None:
    matrix = make_matrix(noise=0.003)
    rng = np.random.default_rng(4)
    matrix.flux[:] *= 1.0 + 0.006 * rng.normal(size=matrix.flux.shape)
    ensemble = choose_ensemble(matrix, TARGET, CONFIG)
    assert ensemble.jitter == pytest.approx(0.006, rel=0.25)


def test_too_few_comparison_stars_are_refused_with_their_number() -> None:
    matrix = make_matrix()
    with pytest.raises(AlgorithmError, match="found 0"):
        choose_ensemble(matrix, TARGET, EnsembleConfig(1000.0, 2000.0))


def test_a_target_without_a_flux_is_refused() -> None:
    matrix = make_matrix()
    matrix.good[TARGET] = False
    with pytest.raises(AlgorithmError, match="no usable flux"):
        choose_ensemble(matrix, TARGET, CONFIG)


def test_an_object_that_was_not_measured_has_no_row() -> None:
    assert make_matrix().row(103) == 3
    with pytest.raises(AlgorithmError, match="object 7"):
        make_matrix().row(7)
