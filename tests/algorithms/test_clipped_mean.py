"""clipped_mean against brute force and known outliers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.algorithms.clipped_mean import clipped_mean


def test_without_outliers_it_is_the_mean_of_what_is_not_nan() -> None:
    rng = np.random.default_rng(1)
    stack = rng.normal(100, 1, (9, 6, 7))
    stack[3, 2, 2] = np.nan
    result = clipped_mean(stack, np.full((1, 1, 1), 1.0), n_sigma=20)
    np.testing.assert_allclose(result.mean, np.nanmean(stack, axis=0))
    assert result.n_used[2, 2] == 8
    assert result.n_used[0, 0] == 9


@given(st.integers(0, 7), st.floats(50, 1e5))
def test_one_outlier_changes_nothing(which: int, height: float) -> None:
    stack = np.random.default_rng(2).normal(0, 1, (8, 3, 3))
    clean = np.delete(stack[:, 1, 1], which)
    stack[which, 1, 1] = height
    result = clipped_mean(stack, np.ones((1, 1, 1)), n_sigma=6)
    assert result.n_used[1, 1] == 7
    np.testing.assert_allclose(result.mean[1, 1], clean.mean())


def test_a_pixel_without_values_is_nan_and_unused() -> None:
    stack = np.ones((4, 2, 2))
    stack[:, 0, 1] = np.nan
    result = clipped_mean(stack, np.ones((1, 1, 1)), n_sigma=3)
    assert np.isnan(result.mean[0, 1])
    assert result.n_used[0, 1] == 0
    assert result.mean[1, 1] == 1


def test_images_count_by_their_weights() -> None:
    stack = np.array([1.0, 2.0, 100.0, np.nan])[:, None, None] * np.ones((4, 20, 5))
    made = clipped_mean(stack, np.ones(1)[:, None, None], n_sigma=5, weights=[1.0, 3.0, 9.0, 1.0])
    np.testing.assert_allclose(made.mean, 1.75)
    np.testing.assert_allclose(made.weight, 4.0)
    assert (made.n_used == 2).all()
