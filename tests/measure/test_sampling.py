from __future__ import annotations

import math

import numpy as np
import pytest

from lsstpipe.algorithms.repeatability import Estimate
from lsstpipe.measure.sampling import (
    jackknife,
    take_excess,
    take_mean,
    take_median,
    take_rms,
    take_share,
    take_spread,
)

N, REPEATS = 400, 600


@pytest.mark.parametrize(
    ("take", "truth"), [(take_mean, 0.5), (take_median, 0.5), (take_spread, 2.0)]
)
def test_a_standard_error_is_the_scatter_of_repeated_samples(
    rng: np.random.Generator, take: object, truth: float
) -> None:
    assert callable(take)
    found = [take(0.5 + 2.0 * rng.standard_normal(N)) for _ in range(REPEATS)]
    values = np.array([f.value for f in found])
    error = float(np.mean([f.error for f in found]))
    assert np.mean(values) == pytest.approx(truth, abs=5 * error / math.sqrt(REPEATS))
    assert np.std(values) == pytest.approx(error, rel=0.12)


def test_the_root_of_the_mean_square_counts_the_mean_too() -> None:
    assert take_rms(np.array([3.0, 4.0, np.nan])).value == pytest.approx(math.sqrt(12.5))


def test_scatter_beyond_noise_is_found_and_is_zero_where_there_is_none(
    rng: np.random.Generator,
) -> None:
    noise = rng.standard_normal(4000)
    excess = take_excess(noise + 0.5 * rng.standard_normal(4000), np.ones(4000))
    assert excess.value == pytest.approx(0.5, abs=4 * excess.error)
    none = take_excess(0.99 * noise, np.ones(4000))
    assert none.value == 0.0
    assert 0.0 < none.error < 0.3


def test_a_share_has_an_error_at_its_ends_too() -> None:
    whole = take_share(np.ones(100, bool))
    assert whole.value == 100.0
    assert 0.3 < whole.error < 1.5
    half = take_share(np.arange(400) % 2 == 0)
    assert half.error == pytest.approx(2.5, rel=0.01)


def test_the_jackknife_knows_that_values_of_one_star_are_not_independent(
    rng: np.random.Generator,
) -> None:
    star = np.repeat(np.arange(200), 10)
    values = rng.standard_normal(200)[star]
    error = jackknife(lambda rows: float(np.mean(values[rows])), star)
    assert error == pytest.approx(1.0 / math.sqrt(200), rel=0.4)
    assert math.isnan(jackknife(lambda rows: 0.0, np.zeros(5, np.int64)))


@pytest.mark.parametrize("take", [take_mean, take_median, take_rms, take_spread])
def test_no_values_have_no_figure(take: object) -> None:
    assert callable(take)
    for sample in (np.zeros(0), np.array([np.nan])):
        found: Estimate = take(sample)
        assert math.isnan(found.value)
        assert found.n == 0
