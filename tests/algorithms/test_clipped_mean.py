"""clipped_mean against brute force and known outliers."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.algorithms.clipped_mean import clipped_mean, median_of_stack


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


def dirty_stack(n: int, dtype: type[np.floating]) -> npt.NDArray[np.floating]:
    """Rows that are longer than what is worked on at a time, with gaps and outliers."""
    rng = np.random.default_rng(n)
    stack = rng.normal(100, 5, (n, 5, 150)).astype(dtype)
    stack[rng.random(stack.shape) < 0.1] = np.nan
    stack[rng.random(stack.shape) < 0.05] += 1000
    stack[:, 2, 70] = np.nan
    return stack


@pytest.mark.parametrize("n", [1, 2, 3, 8, 13])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_what_a_loop_over_pixels_gives(n: int, dtype: type[np.floating]) -> None:
    stack, weights = dirty_stack(n, dtype), np.arange(1.0, n + 1)
    made = clipped_mean(stack, np.full((1, 1, 1), 5.0), n_sigma=4, weights=weights)
    for y, x in np.ndindex(stack.shape[1:]):
        values = stack[:, y, x].astype(np.float64)
        known = np.isfinite(values)
        values, share = values[known], weights[known]
        mean, kept = np.median(values) if known.any() else np.nan, np.zeros(len(values), bool)
        for _ in range(3):
            kept = np.abs(values - mean) <= 20
            mean = np.average(values[kept], weights=share[kept]) if kept.any() else np.nan
        np.testing.assert_allclose(made.mean[y, x], mean, rtol=1e-12)
        assert made.n_used[y, x] == kept.sum()
        assert made.weight[y, x] == share[kept].sum()


@pytest.mark.parametrize("n", [1, 2, 7, 12])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_median_of_a_stack_is_that_of_numpy(n: int, dtype: type[np.floating]) -> None:
    stack = dirty_stack(n, dtype)
    made = median_of_stack(stack)
    assert made.dtype == dtype
    assert np.isnan(made[2, 70])
    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="All-NaN"):
        np.testing.assert_array_equal(made, np.nanmedian(stack, axis=0))
