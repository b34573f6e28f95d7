from __future__ import annotations

import math

import numpy as np
import pytest

from lsstpipe.algorithms.ellipticity import correlate_ellipticities, ellipticity


def test_moments_of_an_ellipse_give_its_axis_ratio_and_angle() -> None:
    a, b, angle = 3.0, 2.0, 0.4
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    (ixx, ixy), (_, iyy) = turn @ np.diag([a**2, b**2]) @ turn.T
    e1, e2 = ellipticity(*(np.array([moment]) for moment in (ixx, iyy, ixy)))
    assert math.hypot(e1[0], e2[0]) == pytest.approx((a**2 - b**2) / (a**2 + b**2))
    assert 0.5 * math.atan2(e2[0], e1[0]) == pytest.approx(angle)
    assert np.isnan(ellipticity(np.zeros(1), np.zeros(1), np.zeros(1))).all()


def test_the_correlation_is_that_of_all_pairs_one_by_one(rng: np.random.Generator) -> None:
    ra, dec = 150.0 + rng.uniform(0, 1, 150), rng.uniform(0, 1, 150)
    e = 0.01 * rng.standard_normal((2, 150))
    e[0, 7] = np.nan
    edges = np.array([1.0, 5.0, 20.0, 40.0])
    found = correlate_ellipticities(ra, dec, e, edges)
    i, j = np.triu_indices(150, 1)
    east = (ra[i] - ra[j]) * np.cos(np.deg2rad(0.5 * (dec[i] + dec[j])))
    distance = 60.0 * np.hypot(east, dec[i] - dec[j])
    product = (e[:, i] * e[:, j]).sum(axis=0)
    for k in range(3):
        inside = (distance >= edges[k]) & (distance < edges[k + 1]) & np.isfinite(product)
        own = product[inside]
        assert found.n_pair[k] == inside.sum()
        assert found.value[k] == pytest.approx(own.mean(), rel=1e-9)
        assert found.error[k] == pytest.approx(own.std() / math.sqrt(len(own)), rel=1e-6)
        mean = math.exp(np.mean(np.log(distance[inside])))
        assert found.radius_arcmin[k] == pytest.approx(mean, rel=1e-6)


def test_bins_without_pairs_do_not_count_in_an_average() -> None:
    e = np.full((2, 2), 0.1)
    edges = np.array([1.0, 5.0, 20.0])
    found = correlate_ellipticities(np.array([10.0, 10.05]), np.zeros(2), e, edges)
    assert found.n_pair.tolist() == [1, 0]
    value, _, n_pair = found.average(np.array([True, True]))
    assert (value, n_pair) == (pytest.approx(0.02), 1)
    assert math.isnan(found.average(np.array([False, True]))[0])
