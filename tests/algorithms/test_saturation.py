"""Growth of saturated regions."""

import numpy as np

from lsstpipe.algorithms.saturation import grow_saturated


def test_growth_takes_all_neighbours_within_the_radius_and_no_other() -> None:
    saturated = np.zeros((9, 9), dtype=bool)
    saturated[4, 4] = True
    grown = grow_saturated(saturated, radius=2)
    y, x = np.mgrid[:9, :9]
    np.testing.assert_array_equal(grown, (abs(y - 4) <= 2) & (abs(x - 4) <= 2))


def test_radius_zero_returns_a_copy() -> None:
    saturated = np.eye(4, dtype=bool)
    grown = grow_saturated(saturated, radius=0)
    grown[0, 1] = True
    assert not saturated[0, 1]
