from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lsstpipe.algorithms.star_sample import (
    StarSample,
    keep_stars,
    mean_positions,
    select_stars,
    sort_sample,
    star_median,
)


def sample_of(star: list[int], **columns: Any) -> StarSample:
    n = len(star)
    whole, zero = np.zeros(n, np.int64), np.zeros(n)
    values = {
        "star": np.array(star, np.int64), "visit": np.arange(n), "band": whole, "ra_deg": zero,
        "dec_deg": zero, "mag": zero + 18.0, "snr": zero + 100.0, "extendedness": zero,
        "is_flagged": np.zeros(n, bool), "e1": zero, "e2": zero,
    }  # fmt: skip
    return StarSample(**values | {name: np.asarray(v) for name, v in columns.items()})


def test_stars_are_numbered_without_gap_and_keep_the_order_of_their_rows() -> None:
    sample = sort_sample(sample_of([7, 3, 7, 3, 9]))
    assert sample.star.tolist() == [0, 0, 1, 1, 2]
    assert sample.visit.tolist() == [1, 3, 0, 2, 4]
    assert sample.count.tolist() == [2, 2, 1]
    assert sample.first.tolist() == [0, 2, 4]


def test_a_median_over_the_visits_is_that_of_the_finite_values(rng: np.random.Generator) -> None:
    star = np.sort(rng.integers(0, 30, 300))
    sample = sort_sample(sample_of(star.tolist()))
    values = rng.normal(size=300)
    values[rng.random(300) < 0.2] = np.nan
    values[rng.random(300) < 0.1] = -np.inf
    values[rng.random(300) < 0.1] = np.inf
    expected = [
        np.median(own[np.isfinite(own)])
        for own in (values[sample.star == number] for number in range(sample.n_star))
    ]
    assert star_median(sample, values) == pytest.approx(expected)


def test_a_star_without_a_finite_value_has_no_median() -> None:
    sample = sample_of([0, 0, 1])
    assert np.isnan(star_median(sample, np.array([np.nan, np.inf, 1.0]))).tolist() == [True, False]


@pytest.mark.parametrize(
    ("fault", "value"),
    [
        ("mag", np.nan), ("extendedness", 1.0), ("extendedness", np.nan), ("is_flagged", True),
    ],
)  # fmt: skip
def test_one_bad_measurement_takes_the_whole_star_out(fault: str, value: float) -> None:
    sample = sample_of([0, 0, 1, 1])
    column = getattr(sample, fault).copy()
    column[1] = value
    kept = select_stars(replace(sample, **{fault: column}))
    assert kept.visit.tolist() == [2, 3]
    assert kept.star.tolist() == [0, 0]


def test_flags_can_be_let_pass_and_the_median_of_the_signal_decides() -> None:
    sample = sample_of([0, 0, 0, 1, 1], snr=[20.0, 60.0, 70.0, 40.0, 50.0])
    assert select_stars(sample).n_star == 1
    assert select_stars(sample, min_snr=45.0).n_star == 2
    assert select_stars(sample, min_snr=45.0, max_snr=50.0).visit.tolist() == [3, 4]
    flagged = replace(sample, is_flagged=np.ones(5, bool))
    assert select_stars(flagged).n_star == 0
    assert select_stars(flagged, rejects_flagged=False).n_star == 1


def test_a_star_seen_once_is_left_out() -> None:
    assert select_stars(sample_of([0, 1, 1])).visit.tolist() == [1, 2]


def test_positions_average_across_the_zero_of_right_ascension() -> None:
    sample = sample_of([0, 0], ra_deg=[359.9, 0.3], dec_deg=[10.0, 10.2])
    ra, dec = mean_positions(sample)
    assert ra[0] == pytest.approx(0.1, abs=1e-3)
    assert dec[0] == pytest.approx(10.1, abs=1e-3)


def test_wanted_stars_are_kept_whole() -> None:
    kept = keep_stars(sample_of([0, 0, 1, 2, 2]), np.array([False, True, True]))
    assert kept.visit.tolist() == [2, 3, 4]
