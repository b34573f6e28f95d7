"""Parts of the sky in words, against an independent library of the sphere."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.sphgeom import Angle, Circle, ConvexPolygon, LonLat, UnitVector3d

from lsstpipe.errors import UserError
from lsstpipe.geometry.position import parse_position
from lsstpipe.geometry.region import pairs_overlap, polygons_from_sky, polygons_overlap
from lsstpipe.geometry.sphere import sky_positions


def boxes(rng: np.random.Generator, n: int, size_deg: float) -> np.ndarray:
    """Make turned boxes near a place where right ascension wraps, shape ``(n, 4, 3)``."""
    ra, dec = rng.uniform(-2.0, 2.0, n), rng.uniform(68.0, 72.0, n)
    angle = rng.uniform(0.0, np.pi, n)
    turns = angle[:, None] + np.arange(4) * np.pi / 2
    north = size_deg * np.sin(turns)
    east = size_deg * np.cos(turns)
    return polygons_from_sky(ra[:, None] + east / np.cos(np.deg2rad(70)), dec[:, None] + north)


def as_sphgeom(polygon: np.ndarray) -> ConvexPolygon:
    return ConvexPolygon([UnitVector3d(*corner) for corner in polygon])


def overlap(first: object, second: object) -> bool:
    """Ask the other library; it is never unsure of boxes of random sides."""
    answer = first.overlaps(second)  # type: ignore[attr-defined]
    assert answer is not None
    return bool(answer)


def test_circles_and_polygons_find_what_another_library_finds(rng: np.random.Generator) -> None:
    polygons = boxes(rng, 300, 0.3)
    others = [as_sphgeom(polygon) for polygon in polygons]
    circle = Circle(UnitVector3d(LonLat.fromDegrees(0.5, 70.2)), Angle.fromDegrees(0.8))
    found = parse_position("circle 0.5 70.2 0.8").overlaps(polygons)
    assert found.tolist() == [overlap(other, circle) for other in others]
    assert 0 < found.sum() < len(found)
    ra, dec = sky_positions(boxes(rng, 1, 0.9)[0])
    text = " ".join(f"{value:.15g}" for pair in zip(ra, dec, strict=True) for value in pair)
    found = parse_position(f"POLYGON {text}").overlaps(polygons)
    region = as_sphgeom(polygons_from_sky(ra, dec))
    assert found.tolist() == [overlap(other, region) for other in others]
    assert 0 < found.sum() < len(found)


def test_a_point_finds_the_boxes_that_hold_it(rng: np.random.Generator) -> None:
    polygons = boxes(rng, 300, 0.5)
    point = UnitVector3d(LonLat.fromDegrees(359.8, 70.0))
    expected = [as_sphgeom(polygon).contains(point) for polygon in polygons]
    assert parse_position("POINT 359.8 70.0").overlaps(polygons).tolist() == expected
    assert sum(expected) > 3


def test_pairs_are_those_of_all_against_all(rng: np.random.Generator) -> None:
    first, second = boxes(rng, 5000, 0.05), boxes(rng, 70, 0.2)
    left, right = pairs_overlap(first, second)
    expected = np.nonzero(polygons_overlap(first, second))
    assert np.array_equal(left, expected[0])
    assert np.array_equal(right, expected[1])
    assert len(left) > 500


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "allowed are POINT ra dec, CIRCLE"),
        ("SQUARE 1 2 3", "does not name a part of the sky"),
        ("CIRCLE 1 2", "does not name"),
        ("CIRCLE 1 2 nan", "does not name"),
        ("CIRCLE 1 2 three", "does not name"),
        ("CIRCLE 1 95 1", "declination must be from -90 to 90"),
        ("CIRCLE 1 5 100", "radius from 0 to less than 90"),
        ("POLYGON 0 0 1 0 2 0", "no polygon that can be searched"),
        ("POLYGON 0 0 1 0 1 1 0.9 0.1", "do not make a convex polygon"),
        ("POLYGON 0 0 1 0 1 95", "beyond the pole"),
    ],
)
def test_what_is_no_part_of_the_sky_is_refused(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        parse_position(text)
