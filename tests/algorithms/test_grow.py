from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, distance_transform_edt

from lsstpipe.algorithms.grow import connected_to, grow


@pytest.mark.parametrize("radius", [1.0, 2.5, 4.0, 6.0])
@pytest.mark.parametrize("share", [0.0005, 0.02, 0.6])
def test_grown_pixels_are_those_within_the_radius(radius: float, share: float) -> None:
    pixels = np.random.default_rng(1).random((90, 120)) < share
    pixels[0, 0] = pixels[-1, 50] = True
    expected = distance_transform_edt(~pixels) <= radius
    assert np.array_equal(grow(pixels, radius), expected)


def test_nothing_grows_from_nothing_or_by_nothing() -> None:
    none = np.zeros((5, 7), dtype=bool)
    assert not grow(none, 3.0).any()
    some = none.copy()
    some[2, 2] = True
    assert np.array_equal(grow(some, 0.0), some)


@pytest.mark.parametrize("share", [0.3, 0.45, 0.9])
def test_regions_with_a_seed_are_kept_whole(share: float) -> None:
    rng = np.random.default_rng(2)
    found = rng.random((80, 70)) < share
    seed = rng.random((80, 70)) < 0.01
    expected = binary_dilation(seed & found, np.ones((3, 3)), iterations=0, mask=found)
    assert np.array_equal(connected_to(found, seed), expected)
    assert connected_to(np.ones((300, 300), dtype=bool), np.eye(300, dtype=bool)).all()
