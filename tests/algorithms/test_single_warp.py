from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.combine import WarpStack, combine, warp_weights
from lsstpipe.algorithms.single_warp import Displaced, find_displaced
from lsstpipe.image.mask import MaskPlane

SHAPE = (9, 30, 40)


def stack_of(image: np.ndarray, mask: np.ndarray | None = None) -> WarpStack:
    image = image.astype(np.float32)
    empty = np.zeros(image.shape, np.int32)
    return WarpStack(image, np.ones_like(image), empty if mask is None else mask)


def displaced(stack: WarpStack) -> Displaced:
    return find_displaced(stack, combine(stack, warp_weights(stack)))


@pytest.mark.parametrize(("value", "is_found"), [(14.9, False), (15.1, True), (-15.1, True)])
def test_one_warp_of_nine_displaces_the_mean_by_a_third_of_its_significance(
    value: float, is_found: bool
) -> None:
    image = np.zeros(SHAPE)
    image[4, 10, 5:20] = value
    found = displaced(stack_of(image))
    assert found.largest == pytest.approx(abs(value) / 3.0, rel=1e-5)
    assert (found.n_footprints, found.n_pixels) == ((1, 15) if is_found else (0, 0))
    assert found.n_judged == found.n_covered == 1200


def test_a_clipped_artefact_displaces_nothing() -> None:
    image, mask = np.zeros(SHAPE), np.zeros(SHAPE, np.int32)
    image[4, 10, 5:20], mask[4, 10, 5:20] = 100.0, int(MaskPlane.CLIPPED)
    assert displaced(stack_of(image, mask)).largest == 0.0


def test_a_star_is_not_judged_and_its_images_may_differ() -> None:
    image = np.zeros(SHAPE)
    image[:, 15, 20] = 1000.0
    image[3, 15, 20] = 1300.0
    found = displaced(stack_of(image))
    assert found.n_footprints == 0
    assert found.n_judged == found.n_covered - 25


def test_light_too_faint_to_explain_a_displacement_hides_none() -> None:
    image = np.zeros(SHAPE)
    image[:, 15, 20] = 12.0
    image[3, 15, 20] += 30.0
    assert displaced(stack_of(image)).n_footprints == 1


def test_displacements_are_those_of_the_coadds_of_all_others(rng: np.random.Generator) -> None:
    image = rng.normal(size=SHAPE)
    variance = np.broadcast_to(rng.uniform(0.5, 2.0, 9)[:, None, None], SHAPE).astype(np.float32)
    mask = np.where(rng.random(SHAPE) < 0.05, np.int32(MaskPlane.CR), np.int32(0))
    stack = WarpStack(image.astype(np.float32), variance, mask)
    weights = warp_weights(stack)
    coadd = combine(stack, weights)
    shifts = []
    for i in range(9):
        others = np.where(np.arange(9) == i, 0.0, weights)
        shifts.append(coadd.planes.image - combine(stack, others).planes.image)
    brute = np.max(np.abs(shifts) * (mask == 0) / np.sqrt(coadd.planes.variance))
    found = find_displaced(stack, coadd, n_sigma=3.0)
    assert found.n_judged == found.n_covered
    assert found.largest == pytest.approx(brute, rel=1e-4)


def test_few_warps_cannot_judge_each_other() -> None:
    image = np.zeros((4, 20, 20))
    image[0, 5, 5] = 1e4
    found = displaced(stack_of(image))
    assert (found.n_footprints, found.n_covered) == (0, 0)
    assert np.isnan(found.largest)
