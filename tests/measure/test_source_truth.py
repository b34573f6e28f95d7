from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from lsstpipe.measure.metric import Metric
from lsstpipe.measure.source_truth import (
    aperture_correction_metric,
    completeness_metrics,
    empty_sky_metric,
    field_cells,
    flux_metrics,
    position_metrics,
    solved_metric,
    spurious_metric,
    zero_point_metric,
)

N = 4000


def by_id(metrics: list[Metric]) -> dict[str, Metric]:
    return {metric.id: metric for metric in metrics}


def test_sky_that_is_over_subtracted_fails(rng: np.random.Generator) -> None:
    flux = rng.standard_normal(N)
    assert empty_sky_metric(flux, np.ones(N)).ok is True
    found = empty_sky_metric(flux - 0.4, np.ones(N))
    assert found.value == pytest.approx(0.4, abs=4 * found.error)
    assert found.note.startswith("Signed: -0.4")
    assert found.ok is False


def test_one_unsolved_or_wrongly_solved_detector_fails() -> None:
    assert solved_metric(np.array([3.0, 5.0, 4.0])).ok is True
    for bad in (math.nan, 5000.0):
        found = solved_metric(np.array([3.0, 5.0, bad]))
        assert found.value == pytest.approx(200 / 3)
        assert found.ok is False


def positions(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    y, x = rng.uniform(0, 4096, N), rng.uniform(0, 2048, N)
    cell = field_cells(y=y, x=x, shape=(4096, 2048))
    return 5.0 * rng.standard_normal((2, N)), np.full(N, 200.0), cell, y


def test_good_positions_pass(rng: np.random.Generator) -> None:
    offset, snr, cell, _ = positions(rng)
    found = by_id(position_metrics(offset, snr, cell))
    assert found["AST-2"].value == pytest.approx(5.0, rel=0.05)
    assert [metric.ok for metric in found.values()] == [True] * 3
    assert len(np.unique(cell)) == 64


def test_a_shift_and_a_bend_are_told_apart(rng: np.random.Generator) -> None:
    offset, snr, cell, y = positions(rng)
    shifted = by_id(position_metrics(offset + np.array([[3.0], [4.0]]), snr, cell))
    assert shifted["AST-3"].value == pytest.approx(5.0, abs=4 * shifted["AST-3"].error)
    assert shifted["AST-3"].ok is False
    assert shifted["AST-3b"].ok is True
    bent = offset + np.stack([15.0 * np.sin(2 * np.pi * y / 4096), np.zeros(N)])
    found = by_id(position_metrics(bent, snr, cell))
    assert found["AST-3"].ok is True
    assert found["AST-3b"].ok is False
    assert found["AST-3b"].value == pytest.approx(15.0 / math.sqrt(2), rel=0.1)


def test_faint_sources_do_not_count_in_positions(rng: np.random.Generator) -> None:
    offset, snr, cell, _ = positions(rng)
    snr[::2] = 50.0
    offset[:, ::2] *= 100.0
    assert by_id(position_metrics(offset, snr, cell))["AST-2"].ok is True


@pytest.mark.parametrize(("sigma", "joint", "expected"), [(2.0, False, True), (9.0, True, False)])
def test_zero_points_are_judged_by_their_rms(
    rng: np.random.Generator, sigma: float, joint: bool, expected: bool
) -> None:
    found = zero_point_metric(sigma * rng.standard_normal(60), is_joint=joint)
    assert found.value == pytest.approx(sigma, rel=0.3)
    assert found.ok is expected
    assert found.id == ("PHO-1b" if joint else "PHO-1")


def test_three_zero_points_that_are_far_off_are_enough_to_fail() -> None:
    assert zero_point_metric(np.array([33.0, 30.0, 35.0]), is_joint=False).ok is False


def fluxes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    snr = 10.0 ** rng.uniform(0.85, 3.0, 30_000)
    error = np.full(30_000, 10.0)
    true = snr * error
    return true + error * rng.standard_normal(30_000), error, true


def test_unbiased_fluxes_pass_at_all_levels(rng: np.random.Generator) -> None:
    found = flux_metrics(*fluxes(rng))
    assert [metric.ok for metric in found] == [True] * 4


def test_a_bias_of_one_per_cent_and_errors_that_are_too_small_fail(
    rng: np.random.Generator,
) -> None:
    flux, error, true = fluxes(rng)
    found = by_id(flux_metrics(0.98 * flux, 0.8 * error, true))
    assert found["PHO-2a"].value == pytest.approx(0.02 * 1085.7, rel=0.05)
    assert found["PHO-2a"].note.startswith("Signed: +")
    assert found["PHO-2a"].ok is False
    assert found["PHO-2b"].ok is False
    assert found["PHO-3"].value > 1.2
    assert found["PHO-3"].ok is False


def test_a_correction_that_is_wrong_in_a_corner_fails(rng: np.random.Generator) -> None:
    y, x = rng.uniform(0, 1000, (2, N))
    cell = field_cells(y=y, x=x, shape=(1000, 1000))
    true = np.full(N, 1e5)
    flux = true * (1.0 + 0.003 * rng.standard_normal(N))
    assert aperture_correction_metric(flux, true, cell).ok is True
    bad = np.where((y > 500) & (x > 500), 0.98, 1.0) * flux
    found = aperture_correction_metric(bad, true, cell)
    assert found.value == pytest.approx(0.02 * 1085.7 * math.sqrt(0.25 * 0.75), rel=0.1)
    assert found.ok is False


def detections(rng: np.random.Generator, lost_mag: float) -> tuple[np.ndarray, ...]:
    mag = rng.uniform(22.0, 26.0, 3000)
    limit = np.full(3000, 24.0)
    snr = 5.0 * 10 ** (-0.4 * (mag - limit + lost_mag))
    return mag, limit, rng.random(3000) < stats.norm.cdf(snr - 5.0)


@pytest.mark.parametrize("lost", [0.0, 0.4])
def test_half_of_the_sources_at_the_analytic_limit_are_found(
    rng: np.random.Generator, lost: float
) -> None:
    found = by_id(completeness_metrics(*detections(rng, lost)))
    assert found["DET-1"].value == pytest.approx(-lost, abs=4 * found["DET-1"].error)
    assert found["DET-1"].ok is (lost == 0.0)
    assert found["DET-1b"].ok is True


def test_bright_sources_that_are_lost_fail(rng: np.random.Generator) -> None:
    mag, limit, found = detections(rng, 0.0)
    found &= rng.random(3000) > 0.08
    assert by_id(completeness_metrics(mag, limit, found))["DET-1b"].ok is False


def test_nothing_detected_is_not_judged() -> None:
    metrics = completeness_metrics(np.full(300, 24.0), np.full(300, 24.0), np.zeros(300, bool))
    assert metrics[0].ok is None


def test_spurious_detections_fail(rng: np.random.Generator) -> None:
    assert spurious_metric(rng.random(3000) > 0.01).ok is True
    assert spurious_metric(rng.random(3000) > 0.06).ok is False
    assert spurious_metric(np.ones(20, bool)).ok is None
