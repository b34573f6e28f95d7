"""From the raw frame to amplifiers as they are read, and back together."""

from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.overscan import Overscan
from lsstpipe.algorithms.readout import (
    Limits,
    assemble,
    assemble_mask,
    find_fault,
    read_amplifiers,
)
from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.image.mask import MaskPlane

LIMITS = Limits(noise_ratio=10.0, saturated_fraction=0.5)


def uneven() -> Detector:
    """Two amplifiers of 6 and 4 columns that read towards the left and the right edge."""
    left = Amplifier(
        "left", Box(0, 0, 5, 6), Box(0, 0, 5, 6), 1.5, 5.0, 6e4, 5e4,
        serial_overscan=Box(0, 6, 5, 2),
    )  # fmt: skip
    right = Amplifier(
        "right", Box(0, 6, 5, 4), Box(0, 10, 5, 4), 2.0, 5.0, 6e4, 5e4,
        serial_overscan=Box(0, 8, 5, 2),
    )  # fmt: skip
    return Detector(0, "uneven", 5, 10, (left, right), 5, 14)


def levels(*values: float) -> list[Overscan]:
    return [Overscan(np.full(5, v, np.float32), None, 3.0) for v in values]


def test_pixels_at_one_place_are_read_at_one_time_although_amplifiers_differ_in_size() -> None:
    frame = np.tile(np.arange(14, dtype=np.float32), (5, 1)) + 100
    cube = read_amplifiers(frame, uneven(), levels(100.0, 100.0))
    assert cube.shape == (2, 5, 6)
    assert cube[0, 2].tolist() == [0, 1.5, 3, 4.5, 6, 7.5]
    assert cube[1, 2].tolist() == [26, 24, 22, 20, 0, 0]


def test_assembly_puts_every_pixel_where_it_lies(rng: np.random.Generator) -> None:
    frame = rng.integers(0, 1000, (5, 14)).astype(np.float32)
    image = assemble(read_amplifiers(frame, uneven(), levels(7.0, 9.0)), uneven())
    expected = np.concatenate([1.5 * (frame[:, :6] - 7), 2.0 * (frame[:, 10:] - 9)], axis=1)
    np.testing.assert_array_equal(image, expected)
    mask = rng.integers(0, 1000, (5, 14)).astype(np.int32)
    np.testing.assert_array_equal(
        assemble_mask(mask, uneven()), np.delete(mask, [6, 7, 8, 9], axis=1)
    )


@pytest.mark.parametrize(
    ("noise_adu", "n_saturated", "fault"),
    [
        (3.0, 0, ""),
        (33.0, 0, ""),
        (34.0, 0, "noise of 51 electrons"),
        (0.0, 0, "noise of 0 electrons"),
        (float("nan"), 0, ""),
        (3.0, 14, ""),
        (3.0, 15, "50% saturated"),
    ],
)
def test_an_amplifier_is_given_up_from_the_limits_on(
    rng: np.random.Generator, noise_adu: float, n_saturated: int, fault: str
) -> None:
    image = rng.normal(100, 3, (5, 6)).astype(np.float32)
    mask = np.zeros(image.shape, np.int32)
    mask.flat[:n_saturated] = int(MaskPlane.SAT)
    overscan = Overscan(np.zeros(5, np.float32), None, noise_adu)
    assert find_fault(image, mask, uneven().amplifiers[0], overscan, LIMITS) == fault


def test_a_constant_amplifier_is_found_and_one_with_a_single_other_pixel_is_not() -> None:
    image = np.full((64, 64), 12.0, np.float32)
    box = Box(0, 0, 64, 64)
    amplifier = Amplifier("1", box, box, 1.0, 5.0, 6e4, 5e4)
    overscan = Overscan(np.zeros(64, np.float32), None, float("nan"))
    mask = np.zeros(image.shape, np.int32)
    assert find_fault(image, mask, amplifier, overscan, LIMITS) == "constant at 12 ADU"
    image[3, 5] = 13.0
    assert find_fault(image, mask, amplifier, overscan, LIMITS) == ""
