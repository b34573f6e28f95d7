from __future__ import annotations

import numpy as np

from lsstpipe.algorithms._window_kernel import bits_near, cut_mask, cut_windows


def test_windows_are_the_pixels_around_positions_also_beyond_the_edge() -> None:
    rng = np.random.default_rng(1)
    image = rng.normal(size=(20, 30)).astype(np.float32)
    mask = rng.integers(0, 16, (20, 30)).astype(np.int32)
    corners = np.array([[3, 4], [-2, -3], [17, 27], [-50, 2], [5, 100]])
    padded = np.pad(image, 120, constant_values=np.nan)
    padded_mask = np.pad(mask, 120, constant_values=64)
    found, bits = cut_windows(image, corners, 7, np.nan), cut_mask(mask, corners, 7, 64)
    for k, (y, x) in enumerate((corners + 120).tolist()):
        np.testing.assert_array_equal(found[k], padded[y : y + 7, x : x + 7])
        np.testing.assert_array_equal(bits[k], padded_mask[y : y + 7, x : x + 7])


def test_bits_near_are_the_union_over_the_window() -> None:
    mask = np.zeros((10, 10), dtype=np.int32)
    mask[0, 0], mask[5, 5], mask[6, 7] = 1, 2, 4
    pixels = np.array([[5, 6], [1, 1], [9, 9], [-3, 0], [100, 100]])
    assert bits_near(mask, pixels, 1).tolist() == [6, 1, 0, 0, 0]
    assert bits_near(mask, pixels, 3)[3] == 1
