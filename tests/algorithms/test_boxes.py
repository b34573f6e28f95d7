from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.boxes import average_boxes


def test_boxes_are_averaged_with_the_smaller_ones_at_the_upper_edges() -> None:
    image = np.arange(35, dtype=np.float64).reshape(5, 7)
    found = average_boxes(image, np.full(image.shape, 2.0), np.ones(image.shape, bool), size=3)
    parts = [image[y : y + 3, x : x + 3] for y in (0, 3) for x in (0, 3, 6)]
    assert found.mean == pytest.approx([part.mean() for part in parts])
    assert found.variance == pytest.approx([2.0 / part.size for part in parts])


def test_bad_pixels_do_not_count_and_a_box_of_them_is_left_out() -> None:
    image = np.ones((4, 8))
    image[0, 0] = 1e9
    usable = np.ones(image.shape, bool)
    usable[0, 0] = False
    usable[:, 4:7] = False
    found = average_boxes(image, image, usable, size=4)
    assert found.mean.tolist() == [1.0]
    assert found.variance == pytest.approx([1.0 / 15])
