"""Mask planes keep the bits that Rubin gave them."""

import numpy as np

from lsstpipe.image.mask import MaskPlane, has


def test_the_first_nine_planes_are_those_of_afw() -> None:
    names = ["BAD", "SAT", "INTRP", "CR", "EDGE", "DETECTED", "DETECTED_NEGATIVE", "SUSPECT"]
    for bit, name in enumerate([*names, "NO_DATA"]):
        assert MaskPlane[name] == 1 << bit


def test_has_finds_any_of_the_planes() -> None:
    mask = np.array([0, 1, 2, 4, 8 | 1], dtype=np.int32)
    found = has(mask, MaskPlane.BAD | MaskPlane.CR)
    assert found.tolist() == [False, True, False, False, True]
