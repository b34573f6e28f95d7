"""Defects planted in darks and flats are found, and nothing else."""

import numpy as np
import pytest

from lsstpipe.algorithms._running_median_kernel import running_median
from lsstpipe.algorithms.defects import complete_columns, find_bad_response, find_hot_pixels
from lsstpipe.geometry.box import Box


def test_hot_pixels_are_those_above_the_median_by_more_than_is_allowed() -> None:
    dark = np.random.default_rng(1).normal(115, 3, (50, 60)).astype(np.float32)
    dark[5, 7], dark[20, 30], dark[40, 50] = 266, 264, 4000
    found = find_hot_pixels(dark, max_current=150)
    assert set(zip(*np.nonzero(found), strict=True)) == {(5, 7), (40, 50)}


def test_bad_response_is_relative_to_the_neighbourhood() -> None:
    y, x = np.mgrid[:80, :80]
    flat = (1 - 0.3 * ((y - 40) ** 2 + (x - 40) ** 2) / 3200).astype(np.float32)
    flat[10, 10] *= 0.5
    flat[60:62, 30] *= 0.8
    flat[70, 70] *= 1.3
    found = find_bad_response(flat, size=9, low=0.9, high=1.1)
    assert set(zip(*np.nonzero(found), strict=True)) == {(10, 10), (60, 30), (61, 30), (70, 70)}


def test_a_column_that_is_bad_in_much_of_an_amplifier_is_bad_up_to_its_end() -> None:
    bad = np.zeros((80, 60), dtype=bool)
    bad[0:15, 12] = True
    bad[45, 20] = True
    found = complete_columns(bad, [Box(0, 0, 40, 60), Box(40, 0, 40, 60)], min_fraction=0.3)
    assert found[:40, 12].all()
    assert not found[40:, 12].any()
    assert found.sum() == 41


@pytest.mark.parametrize("size", [1, 3, 15])
def test_the_running_median_is_that_of_every_window(size: int) -> None:
    rng = np.random.default_rng(3)
    image = rng.normal(1, 0.01, (6, 40)).astype(np.float32)
    image[1, :20] = 1.0
    image[2] = np.round(image[2], 2)  # many values twice
    wide = np.pad(image, ((0, 0), (size // 2, size // 2)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, size, axis=1)
    np.testing.assert_array_equal(running_median(image, size), np.median(windows, axis=2))
