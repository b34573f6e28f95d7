"""What is left of crosstalk that was put in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.measure.crosstalk_truth import (
    crosstalk_matrix_residual,
    crosstalk_pattern,
    crosstalk_residual,
    subtract_surroundings,
)

SIGMA = 32.0


def test_coefficients_that_are_left_are_measured_as_a_share_of_what_was_put_in() -> None:
    true = np.array([[0.0, 1e-4], [-1e-4, 0.0]])
    found = [0.9 * true, np.array([[0.0, 1e-4], [-0.8e-4, 0.0]])]
    errors = [np.full((2, 2), 0.05e-4)] * 2
    made = crosstalk_matrix_residual(found, errors, [true, true])
    # Of four pairs two are off by 1e-5 and one by 2e-5.
    assert made.value == pytest.approx(100 * np.sqrt(6 / 4) * 0.1)
    assert made.n == 4
    assert "5.0 % by the errors" in made.note
    assert made.ok is False
    assert crosstalk_matrix_residual([true], errors[:1], [true]).ok is True
    assert crosstalk_matrix_residual([0 * true], errors[:1], [true]).value == pytest.approx(100.0)
    assert crosstalk_matrix_residual([0 * true], errors[:1], [0 * true]).ok is None
    assert (
        crosstalk_matrix_residual([np.zeros((1, 1))], [np.zeros((1, 1))], [np.zeros((1, 1))]).ok
        is None
    )


def test_crosstalk_that_is_left_is_measured_as_a_share_of_what_was_put_in(
    rng: np.random.Generator,
) -> None:
    injected = 1e-4 * rng.uniform(1e4, 6e5, 20_000)
    variance = np.full(20_000, SIGMA**2)
    noise = SIGMA * rng.standard_normal(20_000)
    row = np.arange(20_000)
    clean = crosstalk_residual(noise, variance, injected, row)
    assert clean.ok is True
    half = crosstalk_residual(noise + 0.5 * injected, variance, injected, row)
    assert half.value == pytest.approx(50.0, abs=4 * half.error)
    assert half.ok is False
    assert crosstalk_residual(noise, variance, np.zeros(20_000), row).ok is None


def test_the_error_of_crosstalk_counts_what_the_pixels_of_a_row_share(
    rng: np.random.Generator,
) -> None:
    injected, row = np.full(4000, 5.0), np.repeat(np.arange(40), 100)
    variance = np.full(4000, SIGMA**2)
    found = [
        crosstalk_residual(
            SIGMA * rng.standard_normal(4000) + 8.0 * rng.standard_normal(40)[row],
            variance, injected, row,
        )
        for _ in range(60)
    ]  # fmt: skip
    true = 100.0 * float(np.hypot(SIGMA / np.sqrt(4000), 8.0 / np.sqrt(40))) / 5.0
    assert np.median([metric.error for metric in found]) == pytest.approx(true, rel=0.15)


def test_a_bright_pixel_talks_into_the_pixel_that_is_read_with_it() -> None:
    halves = (Box(0, 0, 6, 5), Box(0, 5, 6, 5))
    left, right = (
        Amplifier(name, box, box, 1.0, 5.0, 6e4, 5e4, flip_x=flip)
        for name, box, flip in zip("LR", halves, (False, True), strict=True)
    )
    detector = Detector(0, "0", 6, 10, (left, right), 6, 10)
    image = np.zeros((6, 10), np.float32)
    image[2, 1] = 1e5  # column 1 of the left is read with column 9 - 1 of the right
    found = crosstalk_pattern(image, detector, np.array([[0.0, 2e-4], [1e-4, 0.0]]))
    assert found[2, 8] == pytest.approx(10.0)
    assert np.count_nonzero(found) == 1


def test_surroundings_go_and_ghosts_stay(rng: np.random.Generator) -> None:
    y, x = np.mgrid[:200, :200]
    image = (3.0 * np.sin(x / 30) + 0.02 * y + 0.1 * rng.standard_normal(y.shape)).astype(
        np.float32
    )
    ghost = np.zeros(y.shape, bool)
    ghost[90:100, 60:70] = True
    image[ghost] += 5.0
    made = subtract_surroundings(image, ~ghost)
    assert made[ghost].mean() == pytest.approx(5.0, abs=0.15)
    inside = np.zeros(y.shape, bool)
    inside[20:-20, 20:-20] = True
    assert np.std(made[inside & ~ghost]) < 0.3


def test_the_surroundings_are_the_gaussian_mean_of_the_dark_pixels_up_to_the_edges(
    rng: np.random.Generator,
) -> None:
    image = (100.0 + 10.0 * rng.standard_normal((90, 121))).astype(np.float32)
    dark = rng.random(image.shape) > 0.2
    share, sum_ = (gaussian_filter(part, 8.0) for part in (1.0 * dark, 1.0 * dark * image))
    assert subtract_surroundings(image, dark) == pytest.approx(image - sum_ / share, abs=1e-3)
