from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.geometry.htm import trixel_circle, trixel_corners, trixel_range
from lsstpipe.geometry.sphere import angular_separation_deg, sky_positions


def test_the_triangles_of_a_level_tile_the_sphere() -> None:
    # Girard: the area of a spherical triangle by its corners (Van Oosterom & Strackee 1983).
    area = 0.0
    for index in trixel_range(3):
        a, b, c = trixel_corners(index)
        volume = float(np.dot(a, np.cross(b, c)))
        assert volume > 0
        area += 2 * np.arctan2(volume, 1 + a @ b + b @ c + c @ a)
    assert area == pytest.approx(4 * np.pi, rel=1e-12)


def test_four_children_lie_in_their_parent() -> None:
    for index in (8, 13, 231856):
        ra, dec, radius = trixel_circle(index)
        for part in range(4):
            child_ra, child_dec, child_radius = trixel_circle(4 * index + part)
            apart = float(angular_separation_deg(ra, dec, child_ra, child_dec))
            assert child_radius < radius
            assert apart < radius
        corners = trixel_corners(4 * index + 3)
        assert np.allclose(np.linalg.norm(corners, axis=1), 1)


def test_the_circle_reaches_the_corners() -> None:
    ra, dec, radius = trixel_circle(231858)
    corner_ra, corner_dec = sky_positions(trixel_corners(231858))
    apart = angular_separation_deg(ra, dec, corner_ra, corner_dec)
    assert apart.max() == pytest.approx(radius, rel=1e-9)
    assert 0.4 < radius < 0.6


@pytest.mark.parametrize("index", [0, 7, 16, 31, 64])
def test_numbers_that_are_no_triangle_are_refused(index: int) -> None:
    with pytest.raises(ValueError, match="no triangle"):
        trixel_corners(index)
