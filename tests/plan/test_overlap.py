"""Overlaps by a tree against those of all circles with all polygons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lsstpipe.geometry.region import polygons_from_sky, polygons_overlap, polygons_overlap_circles
from lsstpipe.geometry.skymap import PatchGrid, SkyMap
from lsstpipe.plan.overlap import find_overlaps
from lsstpipe.plan.rows import Rows
from lsstpipe.plan.selection import Selection, pair_with_patches
from tests.plan.made_up import selection


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


def outlined(centre: tuple[float, float], margin_deg: float) -> Selection:
    """Long raws, turned each by another angle, over and beside the patches of a tract."""
    polygons = SkyMap.discrete("sky", [centre], 1.0, PatchGrid(4, 5, 1000, 1000, 50)).tracts[0]
    n_raws = 200
    rng = np.random.default_rng(11)
    dec = centre[1] + rng.uniform(-2, 2, n_raws)
    ra = centre[0] + rng.uniform(-2, 2, n_raws) / np.cos(np.deg2rad(dec))
    turn = rng.uniform(0, 2 * np.pi, n_raws)[:, None]
    x, y = np.array([-0.4, 0.4, 0.4, -0.4]), np.array([-0.05, -0.05, 0.05, 0.05])
    east, north = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    corner_dec = dec[:, None] + north
    outlines = polygons_from_sky(ra[:, None] + east / np.cos(np.deg2rad(corner_dec)), corner_dec)
    made = selection(n_darks=3, ra_deg=tuple(ra), filters=("Filter 2",) * n_raws)
    raws = Rows({**made.raws.columns, "dec_deg": np.concatenate([np.zeros(3), dec])})
    unknown = np.full((3, 4, 3), np.nan)
    return replace(
        made,
        raws=raws,
        polygons=polygons.patch_polygons(),
        radius_deg=0.41 + margin_deg,
        outlines=np.concatenate([unknown, outlines]),
        margin_deg=margin_deg,
    )


@pytest.mark.parametrize("centre", [(10.0, 0.0), (200.0, 60.0)])
def test_outlines_leave_the_pairs_that_truly_overlap(centre: tuple[float, float]) -> None:
    chosen = outlined(centre, 0.0)
    assert chosen.outlines is not None
    expected = np.argwhere(polygons_overlap(chosen.outlines[3:], chosen.polygons))
    found = np.stack(pair_with_patches(chosen), axis=1)
    np.testing.assert_array_equal(found, expected)
    by_circles = np.stack(pair_with_patches(replace(chosen, outlines=None)), axis=1)
    assert len(expected) < len(by_circles) / 2


def test_a_margin_keeps_all_pairs_that_a_shift_by_it_would_make(
    rng: np.random.Generator,
) -> None:
    margin_deg = 0.2
    chosen = outlined((10.0, 0.0), margin_deg)
    assert chosen.outlines is not None
    found = set(zip(*(part.tolist() for part in pair_with_patches(chosen)), strict=True))
    for angle in rng.uniform(0, 2 * np.pi, 20):
        # Near the equator a small turn about an axis in the plane of the sky is a shift.
        step = np.deg2rad(margin_deg) * np.array([0.0, np.cos(angle), np.sin(angle)])
        moved = chosen.outlines[3:] + step
        moved /= np.linalg.norm(moved, axis=-1, keepdims=True)
        shifted = np.argwhere(polygons_overlap(moved, chosen.polygons))
        assert set(map(tuple, shifted.tolist())) <= found
    n_true = polygons_overlap(chosen.outlines[3:], chosen.polygons).sum()
    by_circles = pair_with_patches(replace(chosen, outlines=None))[0].size
    assert n_true < len(found) < by_circles


def test_a_raw_without_an_outline_is_taken_for_its_circle() -> None:
    chosen = outlined((10.0, 0.0), 0.0)
    assert chosen.outlines is not None
    some = chosen.outlines.copy()
    some[3:100] = np.nan
    raw, patch = pair_with_patches(replace(chosen, outlines=some))
    circle, all_patches = pair_with_patches(replace(chosen, outlines=None))
    of_circle, of_outline = circle < 97, raw >= 97
    np.testing.assert_array_equal(patch[~of_outline], all_patches[of_circle])
    full_raw, full_patch = pair_with_patches(chosen)
    np.testing.assert_array_equal(patch[of_outline], full_patch[full_raw >= 97])
