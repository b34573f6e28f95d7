from __future__ import annotations

import numpy as np

from lsstpipe.algorithms.duplicates import find_duplicates


def test_the_most_precise_entry_stands_for_its_star() -> None:
    ra = np.array([10.0, 10.0 + 0.1 / 3600, 10.1, 10.0])
    dec = np.array([0.0, 0.0, 0.0, 0.15 / 3600])
    keeper = find_duplicates(ra, dec, np.array([3.0, 1.0, 9.0, np.nan]), radius_arcsec=0.2)
    assert keeper.tolist() == [1, 1, 2, 1]


def test_two_stars_apart_stay_two() -> None:
    keeper = find_duplicates(
        np.array([0.0, 359.99999]), np.array([0.0, 0.0]), np.zeros(2), radius_arcsec=0.01
    )
    assert keeper.tolist() == [0, 1]


def test_entries_of_one_position_are_one_star_at_any_radius() -> None:
    rng = np.random.default_rng(0)
    ra, dec = np.tile(rng.uniform(0, 360, 50), 2), np.tile(rng.uniform(-80, 80, 50), 2)
    keeper = find_duplicates(ra, dec, np.repeat([2.0, 1.0], 50), radius_arcsec=0.0)
    assert keeper.tolist() == list(range(50, 100)) * 2
    assert len(find_duplicates(ra[:0], dec[:0], ra[:0], radius_arcsec=1.0)) == 0
