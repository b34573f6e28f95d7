from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.geometry.proper_motion import move_stars
from lsstpipe.geometry.sphere import angular_separation_deg


def test_stars_move_along_their_motion() -> None:
    ra, dec = np.array([10.0, 200.0]), np.array([60.0, -30.0])
    moved = move_stars(
        ra, dec, (np.array([1000.0, 0.0]), np.array([0.0, -500.0])), np.full(2, 10.0)
    )
    assert (moved[0] - ra)[0] * np.cos(np.deg2rad(60)) * 3600 == pytest.approx(10.0, rel=1e-5)
    assert (moved[1] - dec)[1] * 3600 == pytest.approx(-5.0, rel=1e-6)


def test_a_star_at_the_pole_moves_as_far_as_any() -> None:
    ra, dec = np.array([0.0, 123.0]), np.array([90.0, 89.9999])
    motion = (np.array([300.0, 300.0]), np.array([400.0, 400.0]))
    moved = move_stars(ra, dec, motion, np.full(2, 20.0))
    apart = angular_separation_deg(ra, dec, *moved) * 3600
    np.testing.assert_allclose(apart, 10.0, rtol=1e-4)


def test_unknown_motions_and_dates_leave_stars_where_they_are() -> None:
    ra, dec = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    motion = (np.array([np.nan, 5.0]), np.array([1.0, 5.0]))
    moved = move_stars(ra, dec, motion, np.array([10.0, np.nan]))
    assert moved[0].tolist() == ra.tolist()
    assert moved[1][1] == dec[1]
