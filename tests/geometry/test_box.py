import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.geometry.box import Box

offsets = st.integers(-30, 30)
boxes = st.builds(Box, offsets, offsets, st.integers(0, 20), st.integers(0, 20))
CANVAS = Box(-60, -60, 120, 120)


def pixels(box: Box) -> set[tuple[int, int]]:
    return {(y, x) for y in range(box.y0, box.y1) for x in range(box.x0, box.x1)}


@given(boxes, boxes)
def test_intersection_holds_the_pixels_that_both_hold(first: Box, second: Box) -> None:
    assert pixels(first.intersection(second)) == pixels(first) & pixels(second)


@given(boxes, boxes)
def test_one_box_contains_another_when_all_its_pixels_are_there(first: Box, second: Box) -> None:
    assert first.contains_box(second) == (pixels(second) <= pixels(first))


@given(boxes, offsets, offsets)
def test_contains_agrees_with_the_set_of_pixels(box: Box, y: int, x: int) -> None:
    assert bool(box.contains(y=y, x=x)) == ((y, x) in pixels(box))


@given(boxes, st.integers(0, 10))
def test_shrinking_undoes_growing(box: Box, border: int) -> None:
    assert box.grown(border).grown(-border) == box


@given(boxes, st.integers(0, 30))
def test_shrinking_never_leaves_the_box(box: Box, border: int) -> None:
    small = box.grown(-border)
    assert box.contains_box(small)
    assert small.shape == (max(box.ny - 2 * border, 0), max(box.nx - 2 * border, 0))


@given(boxes, offsets, offsets)
def test_shifting_moves_every_pixel(box: Box, y: int, x: int) -> None:
    assert pixels(box.shifted(y=y, x=x)) == {(a + y, b + x) for a, b in pixels(box)}


@given(boxes)
def test_slices_cut_the_pixels_of_the_box_out_of_its_parent(box: Box) -> None:
    rows, columns = np.mgrid[CANVAS.y0 : CANVAS.y1, CANVAS.x0 : CANVAS.x1]
    cut = box.slices_in(CANVAS)
    assert rows[cut].shape == box.shape
    assert set(zip(rows[cut].ravel(), columns[cut].ravel(), strict=True)) == pixels(box)


def test_slices_of_a_box_that_sticks_out_are_refused() -> None:
    with pytest.raises(ValueError, match="is not inside"):
        Box(-1, 0, 3, 3).slices_in(Box(0, 0, 10, 10))


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="ny=-1"):
        Box(0, 0, -1, 3)


def test_corners_are_the_outer_edges_of_the_pixels_and_enclose_their_area() -> None:
    y, x = Box(2, 5, 3, 4).corners()
    area = 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
    assert area == 12.0
    assert (y.min(), y.max(), x.min(), x.max()) == (1.5, 4.5, 4.5, 8.5)


def test_the_edge_between_two_boxes_belongs_to_one_of_them() -> None:
    left, right = Box(0, 0, 4, 4), Box(0, 4, 4, 4)
    assert not left.contains(y=0.0, x=3.5)
    assert right.contains(y=0.0, x=3.5)
    assert not left.contains(y=np.nan, x=1.0)


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=1, max_size=6))
def test_the_box_around_positions_is_the_smallest_that_contains_them(
    positions: list[tuple[float, float]],
) -> None:
    y, x = np.array(positions).T
    box = Box.around(y=y, x=x)
    assert np.all(box.contains(y=y, x=x))
    for smaller in (
        Box(box.y0 + 1, box.x0, box.ny - 1, box.nx),
        Box(box.y0, box.x0, box.ny - 1, box.nx),
        Box(box.y0, box.x0 + 1, box.ny, box.nx - 1),
        Box(box.y0, box.x0, box.ny, box.nx - 1),
    ):
        assert not np.all(smaller.contains(y=y, x=x))
