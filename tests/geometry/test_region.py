import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsstpipe.geometry.region import (
    polygon_contains,
    polygons_from_sky,
    polygons_overlap,
    polygons_overlap_circles,
)
from lsstpipe.geometry.sphere import angular_separation_deg, gnomonic_deproject


def rectangles(rng: np.random.Generator, n: int, spread_deg: float) -> np.ndarray:
    """Turned rectangles around (350, 60) deg, as corners (n, 4, 2) in the tangent plane."""
    centre = rng.uniform(-spread_deg, spread_deg, (n, 1, 2))
    half = rng.uniform(0.2, 2.0, (n, 1, 2))
    angle = rng.uniform(0.0, np.pi, n)
    corners = half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1)
    return centre + corners @ turn.reshape(n, 2, 2)


def on_sky(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return gnomonic_deproject(plane[..., 0], plane[..., 1], centre_deg=(350.0, 60.0))


def test_overlap_agrees_with_dense_points_of_one_polygon_inside_the_other() -> None:
    rng = np.random.default_rng(4)
    first, second = rectangles(rng, 25, 4.0), rectangles(rng, 25, 4.0)
    overlap = polygons_overlap(
        polygons_from_sky(*on_sky(first)), polygons_from_sky(*on_sky(second))
    )
    u, v = np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 1, 60))
    for i, rectangle in enumerate(first):
        points = (
            rectangle[0]
            + u[..., None] * (rectangle[1] - rectangle[0])
            + v[..., None] * (rectangle[3] - rectangle[0])
        )
        sky = on_sky(points)
        inside = [bool(polygon_contains(p, *sky).any()) for p in polygons_from_sky(*on_sky(second))]
        # A sliver may slip between the points, but no point may be in polygons said to be apart.
        assert np.all(overlap[i] >= inside)
        assert np.sum(overlap[i] != inside) <= 1
    assert 100 < overlap.sum() < 500


def test_polygons_with_a_common_corner_touch_and_moved_apart_do_not() -> None:
    left = polygons_from_sky([[0.0, 1.0, 1.0, 0.0]], [[0.0, 0.0, 1.0, 1.0]])
    touching = polygons_from_sky([[1.0, 2.0, 2.0, 1.0]], [[1.0, 1.0, 2.0, 2.0]])
    apart = polygons_from_sky([[1.001, 2.0, 2.0, 1.001]], [[1.001, 1.0, 2.0, 2.0]])
    assert polygons_overlap(left, touching)[0, 0]
    assert not polygons_overlap(left, apart)[0, 0]


def test_crossed_bars_overlap_without_a_corner_inside_each_other_but_not_antipodal_ones() -> None:
    flat = polygons_from_sky([[-5.0, 5.0, 5.0, -5.0]], [[-1.0, -1.0, 1.0, 1.0]])
    tall = polygons_from_sky([[-1.0, 1.0, 1.0, -1.0]], [[-5.0, -5.0, 5.0, 5.0]])
    opposite = polygons_from_sky([[179.0, 181.0, 181.0, 179.0]], [[-5.0, -5.0, 5.0, 5.0]])
    assert polygons_overlap(flat, tall)[0, 0]
    assert not polygons_overlap(flat, opposite)[0, 0]


def test_a_polygon_around_the_pole_contains_the_pole() -> None:
    cap = polygons_from_sky([0.0, 90.0, 180.0, 270.0], [85.0] * 4)
    assert polygon_contains(cap, 123.0, 90.0)
    assert not polygon_contains(cap, 0.0, 84.9)
    assert not polygon_contains(cap, 123.0, -90.0)


@given(st.integers(3, 9), st.floats(0, 360), st.floats(-80, 80), st.booleans())
@settings(max_examples=40)
def test_a_regular_polygon_contains_its_inner_circle_and_nothing_beyond_its_outer_one(
    n_corners: int, ra: float, dec: float, reverse: bool
) -> None:
    angle = 2.0 * np.pi * np.arange(n_corners) / n_corners
    angle = angle[::-1] if reverse else angle
    polygon = polygons_from_sky(
        *gnomonic_deproject(np.cos(angle), np.sin(angle), centre_deg=(ra, dec))
    )
    around = np.linspace(0, 2 * np.pi, 50)
    inner = np.cos(np.pi / n_corners) * 0.999
    for radius, expected in ((inner, True), (1.001, False)):
        sky = gnomonic_deproject(
            radius * np.cos(around), radius * np.sin(around), centre_deg=(ra, dec)
        )
        assert np.all(polygon_contains(polygon, *sky) == expected)


def test_circles_overlap_polygons_when_the_nearest_point_is_within_the_radius() -> None:
    rng = np.random.default_rng(5)
    plane = rectangles(rng, 20, 4.0)
    polygons = polygons_from_sky(*on_sky(plane))
    ra, dec = on_sky(rng.uniform(-5, 5, (30, 2)))
    radius = rng.uniform(0.1, 1.5, 30)
    overlap = polygons_overlap_circles(polygons, ra, dec, radius)
    steps = np.linspace(0, 1, 400)[:, None]
    for i, rectangle in enumerate(plane):
        outline = np.concatenate(
            [a + steps * (b - a) for a, b in zip(rectangle, np.roll(rectangle, -1, 0), strict=True)]
        )
        edge_ra, edge_dec = on_sky(outline)
        nearest = angular_separation_deg(edge_ra[:, None], edge_dec[:, None], ra, dec).min(axis=0)
        expected = polygon_contains(polygons[i], ra, dec) | (nearest <= radius)
        clear = np.abs(nearest - radius) > 1e-3
        assert np.array_equal(overlap[i][clear], expected[clear])
    assert 30 < overlap.sum() < 570


@pytest.mark.parametrize(
    ("ra", "dec", "message"),
    [
        ([0.0, 1.0], [0.0, 0.0], "at least 3"),
        ([0.0, 2.0, 0.5, 0.0], [0.0, 0.0, 0.5, 2.0], "convex"),
        ([0.0, 1.0, 2.0], [0.0, 0.0, 0.0], "convex"),
        ([0.0, 90.0, 180.0, 270.0], [10.0] * 4, "farther than 45"),
    ],
)
def test_what_is_not_a_convex_polygon_is_refused(
    ra: list[float], dec: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        polygons_from_sky(ra, dec)
