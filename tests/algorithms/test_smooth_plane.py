from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.smooth_plane import subtract_smooth_plane


def test_a_surface_of_second_degree_is_taken_off_whole(rng: np.random.Generator) -> None:
    y, x = np.mgrid[-1:1:120j, -1:1:90j]
    surface = (5.0 + 2.0 * y - x + 3.0 * x * y - 0.5 * y * y + x * x).astype(np.float32)
    bright = rng.random(surface.shape) < 0.1
    image = np.where(bright, np.float32(1e4), surface)
    found = subtract_smooth_plane(image, ~bright)
    assert np.abs(found[~bright]).max() < 1e-4
    assert found[bright] == pytest.approx(1e4 - surface[bright])


def test_a_few_pixels_that_are_off_do_not_pull_it(rng: np.random.Generator) -> None:
    image = rng.standard_normal((120, 90)).astype(np.float32)
    image[60, 45:60] += 1000.0
    assert abs(float(np.mean(subtract_smooth_plane(image, np.ones(image.shape, bool))[:50]))) < 0.05


def test_too_few_pixels_leave_the_image_as_it_is() -> None:
    image = np.ones((20, 20), np.float32)
    assert subtract_smooth_plane(image, np.zeros(image.shape, bool)) is image
