"""Where the detectors of a camera look, against vectors in the focal plane turned by hand."""

import numpy as np
import pytest

from lsstpipe.geometry.box import Box
from lsstpipe.geometry.sphere import (
    angular_separation_deg,
    gnomonic_deproject,
    gnomonic_project,
)
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.instruments import Camera


def make_detector(*, y: float, x: float, turns: int = 0) -> Detector:
    box = Box(0, 0, 20, 10)
    amplifier = Amplifier("1", box, box, 1.0, 5.0, 6e4, 5e4)
    return Detector(0, "0", 20, 10, (amplifier,), 20, 10, y, x, turns)


def make_camera(*, is_mirrored: bool) -> Camera:
    detectors = {0: make_detector(y=0, x=0)}
    return Camera("c", detectors, {"r": "r"}, 0.2, 0.01, is_mirrored=is_mirrored)


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0.0, 90.0, 200.0])
def test_a_detector_looks_beside_the_centre_by_its_place_in_the_focal_plane(
    is_mirrored: bool, rotation: float
) -> None:
    camera, y, x = make_camera(is_mirrored=is_mirrored), 3000.0, 1000.0
    ra, dec, _ = camera.point(
        make_detector(y=y, x=x), ra_deg=30.0, dec_deg=50.0, rotation_deg=rotation
    )
    # One turn of the vector (north, east): north is +y, and east is +x of a mirrored camera.
    turn = np.exp(1j * np.deg2rad(rotation))
    offset = (y + 1j * (x if is_mirrored else -x)) * turn * 0.2 / 3600
    assert (dec - 50.0) == pytest.approx(offset.real, rel=0.01)
    assert (ra - 30.0) * np.cos(np.deg2rad(dec)) == pytest.approx(offset.imag, rel=0.01)
    distance = angular_separation_deg(ra, dec, 30.0, 50.0)
    assert float(distance) * 3600 == pytest.approx(0.2 * np.hypot(y, x), rel=1e-4)


@pytest.mark.parametrize(("is_mirrored", "expected"), [(True, 270.0), (False, 90.0)])
def test_a_quarter_turn_takes_the_columns_of_a_detector_to_the_negative_x_of_the_focal_plane(
    is_mirrored: bool, expected: float
) -> None:
    camera = make_camera(is_mirrored=is_mirrored)
    turned = make_detector(y=0, x=0, turns=1)
    assert camera.point(turned, ra_deg=1.0, dec_deg=0.0, rotation_deg=0.0)[2] == expected


def test_without_a_rotation_the_centre_of_the_field_is_all_that_is_known() -> None:
    detector = make_detector(y=5000, x=0)
    found = make_camera(is_mirrored=False).point(
        detector, ra_deg=30.0, dec_deg=50.0, rotation_deg=float("nan")
    )
    assert found[:2] == (30.0, 50.0)
    assert np.isnan(found[2])


def test_amplifiers_must_tile_their_detector() -> None:
    left, middle = Box(0, 0, 20, 5), Box(0, 3, 20, 5)
    parts = [Amplifier("1", box, box, 1.0, 5.0, 6e4, 5e4) for box in (left, middle)]
    with pytest.raises(ValueError, match="do not tile"):
        Detector(0, "0", 20, 10, tuple(parts), 20, 10)
    with pytest.raises(ValueError, match="pixels on the detector"):
        Amplifier("1", left, Box(0, 0, 20, 4), 1.0, 5.0, 6e4, 5e4)


def test_distorting_optics_bend_place_and_direction_of_a_detector_off_the_axis() -> None:
    k = -1e-10
    camera = Camera("c", {0: make_detector(y=0, x=0)}, {"r": "r"}, 0.2, 0.1, cubic_distortion=k)
    y, x = 9000.0, -12000.0
    ra, dec, rotation = camera.point(
        make_detector(y=y, x=x), ra_deg=0.0, dec_deg=0.0, rotation_deg=0.0
    )
    radius = 15000.0
    distance = np.tan(np.deg2rad(float(angular_separation_deg(ra, dec, 0.0, 0.0))))
    plane = np.deg2rad(0.2 / 3600) * radius * (1 + k * radius**2)
    assert distance == pytest.approx(plane, rel=1e-6)
    # The derivative of (y, -x) (1 + k r**2) along y: north and east of the direction of +y.
    north, east = 1 + k * (radius**2 + 2 * y * y), -2 * k * x * y
    assert rotation == pytest.approx(np.degrees(np.arctan2(east, north)) % 360, abs=1e-3)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_pixels_are_straightened_to_where_the_sky_is_flat(turns: int) -> None:
    scale, k = 0.2 / 3600, -1e-10
    camera = Camera("c", {0: make_detector(y=0, x=0)}, {"r": "r"}, 0.2, 0.1, cubic_distortion=k)
    detector = make_detector(y=9000.0, x=-12000.0, turns=turns)
    ra, dec, rotation = camera.point(detector, ra_deg=10.0, dec_deg=0.0, rotation_deg=0.0)
    rng = np.random.default_rng(turns)
    dy, dx = rng.uniform(-2000, 2000, (2, 50))
    # A quarter turn takes x to y and y to -x; +x is west.
    turned = (1j**turns) * (dx + 1j * dy)
    plane_y, plane_x = 9000.0 + turned.imag, -12000.0 + turned.real
    stretch = scale * (1 + k * (plane_y**2 + plane_x**2))
    sky = gnomonic_deproject(-stretch * plane_x, stretch * plane_y, centre_deg=(10.0, 0.0))
    east, north = gnomonic_project(*sky, centre_deg=(ra, dec))
    angle = np.deg2rad(rotation)
    up = (north * np.cos(angle) + east * np.sin(angle)) / scale
    right = (north * np.sin(angle) - east * np.cos(angle)) / scale
    middle = (detector.ny - 1) / 2, (detector.nx - 1) / 2
    y, x = camera.straighten(detector, y=middle[0] + dy, x=middle[1] + dx)
    # Two tangent planes a degree apart differ in scale by 1e-4, in direction by as much.
    assert np.hypot(y - middle[0] - up, x - middle[1] - right).max() < 0.8
    assert np.hypot(dy - up, dx - right).max() > 50
