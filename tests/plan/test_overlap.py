"""Overlaps by a tree against those of all circles with all polygons."""

from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.geometry.region import polygons_overlap_circles
from lsstpipe.geometry.skymap import PatchGrid, SkyMap
from lsstpipe.plan.overlap import find_overlaps


@pytest.mark.parametrize("radius_deg", [1e-4, 0.05, 0.4, 3.0])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (359.9, 45.0), (120.0, 89.0)])
def test_the_pairs_are_those_of_testing_all_with_all(
    centre: tuple[float, float], radius_deg: float
) -> None:
    grid = PatchGrid(4, 5, 1000, 1000, 50)
    polygons = SkyMap.discrete("sky", [centre], 1.0, grid).tracts[0].patch_polygons()
    rng = np.random.default_rng(7)
    dec = np.clip(centre[1] + rng.uniform(-2, 2, 400), -90, 90)
    ra = (centre[0] + rng.uniform(-2, 2, 400) / np.cos(np.deg2rad(dec))) % 360
    circle, polygon = find_overlaps(polygons, ra, dec, radius_deg)
    expected = np.argwhere(polygons_overlap_circles(polygons, ra, dec, radius_deg).T)
    assert len(expected) > 0
    np.testing.assert_array_equal(np.stack([circle, polygon], axis=1), expected)


def test_nothing_overlaps_nothing() -> None:
    polygons = SkyMap.discrete("sky", [(0.0, 0.0)], 1.0, PatchGrid(1, 1, 9, 9, 0)).tracts[0]
    none = np.empty(0)
    assert find_overlaps(polygons.patch_polygons(), none, none, 1.0)[0].size == 0
    assert find_overlaps(np.empty((0, 4, 3)), np.zeros(1), np.zeros(1), 1.0)[0].size == 0
