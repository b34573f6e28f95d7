import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsstpipe.geometry.region import polygon_contains
from lsstpipe.geometry.skymap import PatchGrid, SkyMap

GRID = PatchGrid(2, 3, 400, 300, 50)
SKY_MAP = SkyMap.discrete("test", [(285.97, 36.7), (286.05, 36.7)], 2.374, GRID)


@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(0, 5)
)
@settings(max_examples=40)
def test_inner_boxes_cover_every_pixel_of_the_tract_once(
    n_y: int, n_x: int, ny: int, nx: int, border: int
) -> None:
    tract = SkyMap.discrete("t", [(0.0, 0.0)], 1.0, PatchGrid(n_y, n_x, ny, nx, border)).tracts[0]
    count = np.zeros(tract.grid.box.shape, dtype=int)
    for index, patch in enumerate(tract.patches):
        assert patch.index == index
        count[patch.inner.slices_in(tract.grid.box)] += 1
        assert patch.outer == patch.inner.grown(border).intersection(tract.grid.box)
    assert np.all(count == 1)


def test_east_is_at_negative_x_and_north_at_positive_y_with_the_centre_in_the_middle() -> None:
    tract = SKY_MAP.tracts[0]
    y, x = tract.wcs.sky_to_pixel([285.97, 285.98, 285.97], [36.7, 36.7, 36.71])
    assert (y[0], x[0]) == pytest.approx(((800 - 1) / 2, (900 - 1) / 2))
    assert x[1] < x[0]
    assert y[2] - y[0] == pytest.approx(36.0 / 2.374, rel=1e-6)


@given(st.floats(-0.4999, 799.499 - 0.5), st.floats(-0.4999, 899.499 - 0.5))
@settings(max_examples=60)
def test_a_point_belongs_to_the_patch_whose_inner_box_holds_its_pixel(y: float, x: float) -> None:
    tract = SKY_MAP.tracts[0]
    found = int(tract.find_patches(*tract.wcs.pixel_to_sky(y=y, x=x)))
    back_y, back_x = tract.wcs.sky_to_pixel(*tract.wcs.pixel_to_sky(y=y, x=x))
    assert bool(tract.patch(found).inner.contains(y=back_y, x=back_x))


def test_points_outside_have_no_patch() -> None:
    ra, dec = SKY_MAP.tracts[0].wcs.pixel_to_sky(y=[-1.0, 400.0], x=[10.0, 10.0])
    assert SKY_MAP.tracts[0].find_patches(ra, dec).tolist() == [-1, 3]
    tract, patch = SKY_MAP.find_primary([100.0], [0.0])
    assert (tract[0], patch[0]) == (-1, -1)


def test_where_tracts_overlap_the_nearest_centre_wins() -> None:
    tract, patch = SKY_MAP.find_primary([285.99, 286.03], [36.7, 36.7])
    assert tract.tolist() == [0, 1]
    assert np.all(patch >= 0)


def test_patch_polygons_contain_the_corners_of_their_pixels_and_not_those_beyond() -> None:
    tract = SKY_MAP.tracts[0]
    for patch, polygon in zip(tract.patches, tract.patch_polygons(), strict=True):
        inside = patch.outer.grown(-1)
        for box, expected in ((inside, True), (patch.outer.grown(1), False)):
            y, x = box.corners()
            assert np.all(polygon_contains(polygon, *tract.wcs.pixel_to_sky(y=y, x=x)) == expected)


def test_a_sky_map_survives_json() -> None:
    assert SkyMap.from_json_dict(json.loads(json.dumps(SKY_MAP.to_json_dict()))) == SKY_MAP


def test_absurd_sky_maps_are_refused() -> None:
    with pytest.raises(ValueError, match="positive numbers"):
        PatchGrid(0, 1, 10, 10, 0)
    with pytest.raises(ValueError, match="positive pixel scale"):
        SkyMap.discrete("bad", [(0.0, 0.0)], 0.0, GRID)
    with pytest.raises(ValueError, match="numbered"):
        SkyMap("bad", SKY_MAP.tracts[::-1])
    with pytest.raises(TypeError, match="name"):
        SkyMap.from_json_dict({"name": 3, "tracts": []})
    with pytest.raises(IndexError, match="no patch 6"):
        SKY_MAP.tracts[0].patch(6)
