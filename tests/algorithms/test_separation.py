from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from lsstpipe.algorithms.separation import measure_band_offsets, measure_pairs
from lsstpipe.algorithms.star_sample import StarSample, sort_sample
from tests.algorithms.test_star_sample import sample_of

MAS = 3.6e6


@pytest.fixture
def sample(rng: np.random.Generator) -> StarSample:
    """60 stars on half a degree, each seen on some of six visits."""
    star, visit = (grid.ravel() for grid in np.mgrid[:60, :6])
    seen = rng.random(len(star)) < 0.7
    star, visit = star[seen], visit[seen]
    place = rng.uniform(0.0, 0.5, (2, 60))[:, star] + rng.normal(scale=1e-5, size=(2, len(star)))
    return sort_sample(sample_of(star.tolist(), visit=visit, ra_deg=place[0], dec_deg=place[1]))


def brute_force(sample: StarSample, low: float, high: float) -> tuple[list[float], list[float]]:
    place = [
        {int(v): (r, d) for s, v, r, d in zip(sample.star, sample.visit, sample.ra_deg,
                                              sample.dec_deg, strict=True) if s == number}
        for number in range(sample.n_star)
    ]  # fmt: skip
    rms, deviation = [], []
    for a, b in combinations(place, 2):
        mean = [np.mean(list(c.values()), axis=0) for c in (a, b)]
        if not low <= 60 * distance(*mean) < high:
            continue
        both = [distance(np.array(a[v]), np.array(b[v])) * MAS for v in a.keys() & b.keys()]
        if len(both) > 1:
            rms.append(float(np.std(both, ddof=1)))
        if len(both) > 2:
            deviation += np.abs(both - np.median(both)).tolist()
    return rms, deviation


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Haversine, degrees."""
    (ra, dec), (ra2, dec2) = np.deg2rad(a), np.deg2rad(b)
    square = np.sin((dec2 - dec) / 2) ** 2
    square += np.cos(dec) * np.cos(dec2) * np.sin((ra2 - ra) / 2) ** 2
    return float(np.rad2deg(2 * np.arcsin(np.sqrt(square))))


def test_all_pairs_in_the_ring_are_measured_as_one_by_one(sample: StarSample) -> None:
    found = measure_pairs(sample, min_arcmin=4.0, max_arcmin=6.0)
    rms, deviation = brute_force(sample, 4.0, 6.0)
    assert len(rms) > 50
    assert np.sort(found.rms_mas) == pytest.approx(np.sort(rms), rel=1e-6)
    assert np.sort(found.deviation_mas) == pytest.approx(np.sort(deviation), rel=1e-5, abs=1e-6)
    assert len(found.first_star) == len(rms)
    assert len(found.deviation_star) == len(deviation)


def test_with_too_many_pairs_some_are_left_out_and_none_counts_twice(sample: StarSample) -> None:
    every = measure_pairs(sample, min_arcmin=4.0, max_arcmin=6.0)
    some = measure_pairs(sample, min_arcmin=4.0, max_arcmin=6.0, max_n_pair=60)
    assert 0 < len(some.rms_mas) < len(every.rms_mas)
    assert len(np.unique(some.rms_mas)) == len(some.rms_mas)
    assert set(np.round(some.rms_mas, 6)) <= set(np.round(every.rms_mas, 6))


def test_no_stars_have_no_pairs() -> None:
    found = measure_pairs(sample_of([]), min_arcmin=4.0, max_arcmin=6.0)
    assert len(found.rms_mas) == len(found.deviation_mas) == 0


def test_the_distances_between_two_visits_of_two_bands_scatter_as_put_in() -> None:
    apart = np.array([10.0, 20.0, 30.0]) / MAS
    sample = sample_of(
        [0, 0, 1, 1, 2, 2], visit=[1, 2] * 3, band=[0, 1] * 3,
        dec_deg=np.stack([np.arange(3.0), np.arange(3.0) + apart], axis=1).ravel(),
    )  # fmt: skip
    found = measure_band_offsets(sample, band=1, reference_band=0)
    assert found == pytest.approx([10.0], rel=1e-6)
    assert len(measure_band_offsets(sample, band=0, reference_band=0)) == 0
    lone = replace(sample, dec_deg=np.full(6, np.nan))
    assert len(measure_band_offsets(lone, band=1, reference_band=0)) == 0
