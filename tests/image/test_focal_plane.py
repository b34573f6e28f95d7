from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.geometry.sphere import gnomonic_project
from lsstpipe.image.focal_plane import focal_bounds, focal_position
from lsstpipe.instruments.camera import Camera
from tests.tasks.simulated_survey import make_detector


@pytest.mark.parametrize("quarter_turns", range(4))
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_pixels_lie_where_the_camera_points_them(quarter_turns: int, *, is_mirrored: bool) -> None:
    detector = make_detector(0, y=300.0, x=-700.0, quarter_turns=quarter_turns, shape=(101, 51))
    camera = Camera("one", {0: detector}, {"r": "r"}, 1.0, 0.01, is_mirrored)
    ra, dec, rotation = camera.point(detector, ra_deg=20.0, dec_deg=10.0, rotation_deg=30.0)
    # 40 pixels up along the detector's own +y, seen by its centre and by the focal plane.
    y, x = focal_position(detector, y=[50.0, 90.0], x=[25.0, 25.0])
    assert (y[0], x[0]) == (300.0, -700.0)
    hand, angle = (1 if is_mirrored else -1), np.deg2rad(30.0)
    east = (y * np.sin(angle) + hand * x * np.cos(angle)) / 3600
    north = (y * np.cos(angle) - hand * x * np.sin(angle)) / 3600
    at = gnomonic_project([ra], [dec], centre_deg=(20.0, 10.0))
    np.testing.assert_allclose([at[0][0], at[1][0]], [east[0], north[0]], atol=1e-9)
    towards = np.rad2deg(np.arctan2(east[1] - east[0], north[1] - north[0])) % 360
    assert towards == pytest.approx(rotation, abs=1e-6)


def test_the_bounds_hold_all_pixels() -> None:
    first = make_detector(0, y=0.0, x=0.0, quarter_turns=0, shape=(101, 51))
    second = make_detector(1, y=10.0, x=100.0, quarter_turns=1, shape=(101, 51))
    assert focal_bounds([first]) == (-50.0, -25.0, 101.0, 51.0)
    assert focal_bounds([first, second]) == (-50.0, -25.0, 101.0, 176.0)
