from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import polynomial

from lsstpipe.geometry.polynomial import evaluate_polynomial

RAGGED = ((0.5, -1.25, 0.75), (2.0, 0.25), (), (-0.125,))


@pytest.mark.parametrize("shape", [(), (1,), (127,), (128,), (300,), (3, 130)])
def test_value_and_gradient_are_those_of_the_terms(shape):
    u, v = np.random.default_rng(3).normal(size=(2, *shape))
    table = np.zeros((4, 3))
    for p, row in enumerate(RAGGED):
        table[p, : len(row)] = row
    value, du, dv = evaluate_polynomial(RAGGED, u, v)
    assert value.shape == du.shape == dv.shape == shape
    np.testing.assert_allclose(value, polynomial.polyval2d(u, v, table), rtol=1e-12, atol=1e-12)
    by_u, by_v = (polynomial.polyder(table, axis=axis) for axis in (0, 1))
    np.testing.assert_allclose(du, polynomial.polyval2d(u, v, by_u), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dv, polynomial.polyval2d(u, v, by_v), rtol=1e-12, atol=1e-12)


def test_no_coefficients_are_zero_everywhere():
    for found in evaluate_polynomial((), np.ones(3), np.ones(3)):
        np.testing.assert_array_equal(found, np.zeros(3))


def test_a_point_is_the_same_alone_and_among_others():
    u, v = np.random.default_rng(5).normal(size=(2, 1000))
    whole = np.stack(evaluate_polynomial(RAGGED, u, v))
    alone = np.stack(
        [evaluate_polynomial(RAGGED, u[i : i + 1], v[i : i + 1]) for i in range(0, 1000, 37)]
    )[:, :, 0].T
    np.testing.assert_array_equal(whole[:, ::37], alone)
