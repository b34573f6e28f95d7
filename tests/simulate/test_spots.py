"""Spots light one amplifier at a time."""

from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.readout import take_apart
from lsstpipe.instruments import get_camera
from lsstpipe.simulate.spots import draw_spots


@pytest.mark.parametrize("name", ["simcam_unit", "simcam_small", "simcam", "hsc"])
def test_all_amplifiers_are_lit_and_no_two_in_pixels_that_are_read_together(name: str) -> None:
    camera = get_camera(name)
    detector = camera.detector(min(camera.detectors))
    cube = take_apart(draw_spots(detector), detector)
    assert cube.max(axis=(1, 2)) == pytest.approx(np.ones(len(cube)), abs=1e-6)
    lit = np.sort(cube, axis=0)
    # Where one is lit by a hundredth of a spot the next has less than a millionth.
    assert lit[-2][lit[-1] > 0.01].max() < 1e-6
    assert (cube > 0.1).sum(axis=(1, 2)).min() > 500
