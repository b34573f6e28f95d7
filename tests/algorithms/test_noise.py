"""The predicted variance is the measured one."""

import numpy as np
import pytest

from lsstpipe.algorithms.noise import (
    add_photon_noise,
    divide_by_flat,
    guard_variance,
    subtract_dark,
)
from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.image.mask import MaskPlane


def make_detector() -> Detector:
    boxes = (Box(0, 0, 4, 2), Box(0, 2, 4, 2))
    amplifiers = tuple(
        Amplifier(f"{i}", box, box, 1.0, 9.0, 6e4, 5e4) for i, box in enumerate(boxes)
    )
    return Detector(0, "0", 4, 4, amplifiers, 4, 4)


def test_predicted_variance_is_that_of_many_realisations() -> None:
    rng = np.random.default_rng(7)
    signal = np.repeat(np.array([0.0, 100.0, 5000.0, 40000.0]), 4).reshape(4, 4)
    current = np.zeros((4, 4))
    current[:, 3] = 900.0
    flat = np.linspace(0.8, 1.2, 16).reshape(4, 4)
    noise = np.repeat([9.0, 20.0], 2)
    shape = (4000, 4, 4)
    darks = rng.normal(current, 3.0, shape)
    flats = rng.normal(flat, 0.01, shape)
    frames = (
        rng.poisson(signal * flat + current, shape) + rng.normal(0, noise, shape) - darks
    ) / flats
    image = (signal * flat + current).astype(np.float32)
    planes = (image, np.zeros_like(image))
    error = np.full_like(image, 9.0)
    subtract_dark(planes, current.astype(np.float32), error, scale=1.0, pedestal=0.0)
    add_photon_noise(planes, make_detector(), [9.0, 20.0])
    divide_by_flat(planes, flat.astype(np.float32), np.full_like(image, 1e-4))
    np.testing.assert_allclose(planes[0], signal, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(frames.var(axis=0), planes[1], rtol=0.12)


def test_negative_pixels_keep_the_read_noise() -> None:
    planes = (np.full((4, 4), -50, np.float32), np.zeros((4, 4), np.float32))
    add_photon_noise(planes, make_detector(), [5.0, 5.0])
    assert np.all(planes[1] == 25)


def test_a_scaled_dark_has_the_variance_of_its_scale_and_no_noise_of_its_pedestal() -> None:
    planes = (np.full((4, 4), 500, np.float32), np.ones((4, 4), np.float32))
    dark, variance = np.full((4, 4), 100, np.float32), np.full((4, 4), 4, np.float32)
    subtract_dark(planes, dark, variance, scale=3.0, pedestal=290.0)
    assert np.all(planes[0] == 200)
    assert np.all(planes[1] == 1 + 9 * 4 + 10)


@pytest.mark.parametrize(
    ("value", "variance", "planes"),
    [
        (1.0, 0.0, MaskPlane.BAD),
        (1.0, -3.0, MaskPlane.BAD),
        (1.0, np.nan, MaskPlane.BAD | MaskPlane.UNMASKEDNAN),
        (np.inf, 2.0, MaskPlane.BAD | MaskPlane.UNMASKEDNAN),
        (-1.0, 2.0, MaskPlane(0)),
    ],
)
def test_pixels_without_a_number_or_a_variance_are_bad(
    value: float, variance: float, planes: MaskPlane
) -> None:
    image, noise = np.ones((4, 4), np.float32), np.ones((4, 4), np.float32)
    image[1, 2], noise[1, 2] = value, variance
    mask = np.full((4, 4), int(MaskPlane.SAT), np.int32)
    guard_variance((image, noise), mask)
    assert mask[1, 2] == int(MaskPlane.SAT | planes)
    assert (image[1, 2], noise[1, 2]) == ((0.0, 1.0) if planes else (value, variance))
    assert (mask == int(MaskPlane.SAT)).sum() >= 15
