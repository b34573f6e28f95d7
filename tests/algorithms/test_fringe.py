"""The amplitude of fringes is found below sources and a slope of the sky."""

from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.fringe import fit_fringe
from lsstpipe.errors import AlgorithmError

SHAPE = (512, 384)


@pytest.mark.parametrize("amplitude", [40.0, 3.0, 0.0])
def test_the_amplitude_is_the_true_one_within_its_error(
    rng: np.random.Generator, amplitude: float
) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    fringe = np.sin(x / 15.0 + 2 * np.sin(y / 60.0)).astype(np.float32)
    fringe -= fringe.mean()
    image = rng.normal(2000.0 + 0.3 * y + 0.2 * x + amplitude * fringe, 45.0)
    for row, column in zip(rng.integers(0, 500, 60), rng.integers(0, 370, 60), strict=True):
        image[row : row + 8, column : column + 8] += 3000.0
    good = np.ones(SHAPE, dtype=bool)
    image[100:120] = np.nan
    good[100:120] = False
    made = fit_fringe(image.astype(np.float32), fringe, good)
    assert abs(made.amplitude - amplitude) < 4 * made.amplitude_err
    assert made.amplitude_err < 0.5


def test_too_few_good_pixels_are_an_algorithm_error() -> None:
    image = np.zeros(SHAPE, np.float32)
    with pytest.raises(AlgorithmError, match="0 are good"):
        fit_fringe(image, image, np.zeros(SHAPE, dtype=bool))
