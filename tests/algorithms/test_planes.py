from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.planes import typical_value


@pytest.mark.parametrize("shape", [(7, 9), (1024, 2048)])
def test_the_typical_value_is_the_median_of_the_good_pixels(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    # Columns differ, as those of amplifiers do.
    image = (rng.normal(100, 5, shape) + 20 * (np.arange(shape[1]) % 2)).astype(np.float32)
    good = rng.random(shape) < 0.7
    image[~good] = np.nan
    # The error of a median is 1.25 times that of a mean.
    allowed = 5 * 1.25 * 11 / np.sqrt(250_000)
    assert abs(typical_value(image, good) - np.median(image[good])) <= allowed


def test_the_typical_value_of_no_pixel_is_1() -> None:
    assert typical_value(np.zeros((3, 4), np.float32), np.zeros((3, 4), dtype=bool)) == 1.0
