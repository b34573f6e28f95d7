from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.measure.metric import Metric
from lsstpipe.measure.psf_truth import (
    PsfShapes,
    psf_peer_metric,
    psf_shape_metrics,
    reserved_star_metric,
)

N = 400
TRUE = np.full(N, 8.0)


def judge_shapes(rng: np.random.Generator, growth: float, e: float) -> dict[str, Metric]:
    size = TRUE * (1.0 + growth + 5e-4 * rng.standard_normal(N))
    shape = 5e-4 * rng.standard_normal((2, N)) + np.array([[e], [0.0]])
    metrics = psf_shape_metrics(PsfShapes(size, TRUE, shape, np.zeros((2, N))))
    return {metric.id: metric for metric in metrics}


def test_a_good_model_passes(rng: np.random.Generator) -> None:
    found = judge_shapes(rng, 0.0, 0.0)
    assert [metric.ok for metric in found.values()] == [True] * 4
    assert found["PSF-1b"].value == pytest.approx(0.5, rel=0.1)


def test_a_model_that_is_too_wide_or_too_round_fails(rng: np.random.Generator) -> None:
    wide = judge_shapes(rng, 0.006, 0.0)
    assert wide["PSF-1"].value == pytest.approx(6.0, abs=0.2)
    assert (wide["PSF-1"].ok, wide["PSF-1b"].ok, wide["PSF-2"].ok) == (False, True, True)
    round_ = judge_shapes(rng, 0.0, -0.002)
    assert round_["PSF-2"].value == pytest.approx(2.0, abs=0.2)
    assert (round_["PSF-1"].ok, round_["PSF-2"].ok) == (True, False)


def test_the_error_is_that_of_a_sample_of_images(rng: np.random.Generator) -> None:
    image = np.repeat(np.arange(20), N // 20)
    own = 2e-3 * rng.standard_normal(20)[image]
    shapes = PsfShapes(TRUE * (1 + own), TRUE, np.zeros((2, N)), np.zeros((2, N)), image)
    mean = psf_shape_metrics(shapes)[0]
    assert mean.error == pytest.approx(1e3 * own[:: N // 20].std(ddof=1) / np.sqrt(20), rel=1e-6)


def test_one_image_that_is_far_off_leaves_a_small_sample_without_a_verdict(
    rng: np.random.Generator,
) -> None:
    image = np.repeat(np.arange(10), N // 10)
    size = TRUE * (1 + 1e-3 * rng.standard_normal(N) + np.where(image == 3, 0.025, 0.0))
    shapes = PsfShapes(size, TRUE, np.zeros((2, N)), np.zeros((2, N)), image)
    mean, spread, _, _ = psf_shape_metrics(shapes)
    assert mean.value < 3.0
    assert (mean.ok, spread.ok) == (None, None)
    assert spread.value > 6.0


@pytest.mark.parametrize(("level", "expected"), [(1.0, True), (1.4, False), (0.7, False)])
def test_reserved_stars_must_fit_within_their_noise(
    rng: np.random.Generator, level: float, expected: bool
) -> None:
    assert reserved_star_metric(level + 0.1 * rng.standard_normal(60)).ok is expected


def test_a_peer_that_is_twice_as_good_makes_it_fail(rng: np.random.Generator) -> None:
    error = 1e-3 + 1e-3 * rng.standard_normal(N)
    found = psf_peer_metric(TRUE * (1 + error), TRUE * (1 + 0.5 * error), TRUE)
    assert found.value == pytest.approx(2.0)
    assert found.ok is False
    assert psf_peer_metric(TRUE * (1 + error), TRUE * (1 + 2 * error), TRUE).ok is True
