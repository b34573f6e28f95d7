from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from lsstpipe.algorithms.grow import grow_pixels


@pytest.mark.parametrize("radius", [0.9, 1.0, 1.5, 4.0, 5.0, 6.7, 13.0, 200.0])
def test_exactly_the_pixels_within_the_radius_are_added(radius: float) -> None:
    pixels = np.random.default_rng(3).random((61, 97)) < 0.003
    expected = distance_transform_edt(~pixels) <= radius
    np.testing.assert_array_equal(grow_pixels(pixels, radius), expected)


def test_nothing_is_added_to_nothing_or_by_no_radius() -> None:
    pixels = np.zeros((8, 9), dtype=bool)
    assert not grow_pixels(pixels, 3.0).any()
    pixels[4, 4] = True
    assert grow_pixels(pixels, 0.0).sum() == 1
