"""Growth of saturated regions."""

import numpy as np

from lsstpipe.algorithms.saturation import grow_saturated, widen_trails


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


def test_wide_trails_are_widened_by_the_rule_and_narrow_ones_are_not() -> None:
    lengths = (1, 5, 6, 7, 8, 9, 10, 25)
    saturated = np.zeros((len(lengths), 60), dtype=bool)
    for y, length in enumerate(lengths):
        saturated[y, 20 : 20 + length] = True
    widened = widen_trails(saturated)
    added = widened.sum(axis=1) - saturated.sum(axis=1)
    assert added.tolist() == [0, 0, 2, 2, 6, 6, 8, 8]
    assert widened[7, 16:49].all()
    assert (widened | ~saturated).all()


def test_runs_at_the_edge_are_widened_inwards_only() -> None:
    saturated = np.zeros((1, 40), dtype=bool)
    saturated[0, :12] = True
    assert np.flatnonzero(widen_trails(saturated)).tolist() == list(range(16))
