from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.combine import WarpStack, combine, warp_weights
from lsstpipe.algorithms.outlier import find_artifacts
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.planted_artifacts import KINDS, Planted, judge, plant
from lsstpipe.algorithms.psf_match import gaussian_stamp, match_psf, matching_kernel
from lsstpipe.image.mask import MaskPlane

SIGMA = 1.3
N = 9
ONE = np.ones(N)


def sky(rng: np.random.Generator, ny: int = 200, nx: int = 240) -> WarpStack:
    """Warps of 40 stars of one PSF, each with noise of its own."""
    rows, columns = np.indices((ny, nx))
    stars = np.zeros((ny, nx))
    for y, x, height in zip(
        rng.uniform(0, ny, 40), rng.uniform(0, nx, 40), 10 ** rng.uniform(0.5, 2.5, 40), strict=True
    ):
        stars += height * np.exp(-0.5 * ((rows - y) ** 2 + (columns - x) ** 2) / SIGMA**2)
    variance = np.broadcast_to(1.0 + stars / 20.0, (N, ny, nx)).astype(np.float32)
    image = stars + rng.normal(size=variance.shape) * np.sqrt(variance)
    return WarpStack(image.astype(np.float32), variance, np.zeros(image.shape, np.int32))


def matched(stack: WarpStack) -> WarpStack:
    kernel = matching_kernel(gaussian_stamp(SIGMA, 25), gaussian_stamp(1.2 * SIGMA, 25))
    warps = [
        match_psf(Planes(*planes), kernel[None, None], cell_size=240)
        for planes in zip(stack.image, stack.variance, stack.mask, strict=True)
    ]
    return WarpStack.of(warps, np.ones(N))


@pytest.fixture(scope="module")
def stack() -> WarpStack:
    return sky(np.random.default_rng(3))


@pytest.fixture(scope="module")
def planted(stack: WarpStack) -> np.ndarray:
    return plant(stack, np.full(N, SIGMA), np.random.default_rng(4), ONE)


def test_of_each_kind_95_percent_of_the_planted_pixels_are_removed(
    stack: WarpStack, planted: np.ndarray
) -> None:
    dirty = WarpStack(stack.image + planted, stack.variance, stack.mask)
    clipped = find_artifacts(dirty, matched(dirty))
    found = judge(stack, combine(stack, warp_weights(stack)), planted, clipped, ONE)
    assert [kind.kind for kind in found] == list(KINDS)
    for kind in found:
        assert kind.n_pixels > 40
        assert kind.n_removed >= 0.95 * kind.n_pixels
        assert kind.n_left <= 0.05 * max(kind.n_lifted, 20)
    assert sum(kind.n_lifted for kind in found) > 100


def test_a_search_that_finds_nothing_removes_nothing(stack: WarpStack, planted: np.ndarray) -> None:
    nothing = np.zeros(stack.image.shape, bool)
    for kind in judge(stack, combine(stack, warp_weights(stack)), planted, nothing, ONE):
        assert kind.n_removed == 0
        assert kind.n_left == kind.n_lifted


def test_each_warp_has_its_kind_and_most_of_it_stays_clean(planted: np.ndarray) -> None:
    lit = np.abs(planted) > 1.0
    assert lit.any(axis=(1, 2)).all()
    assert lit.mean() < 0.05
    for trail in lit[2::3]:
        assert trail.any(axis=0).mean() > 0.9 or trail.any(axis=1).mean() > 0.9


def test_the_same_seed_plants_the_same(stack: WarpStack, planted: np.ndarray) -> None:
    again = plant(stack, np.full(N, SIGMA), np.random.default_rng(4), ONE)
    assert np.array_equal(planted, again)


def test_artefacts_are_of_single_pixels_whatever_the_covariance(
    stack: WarpStack, planted: np.ndarray
) -> None:
    """What raises the variance of a warp for its covariance says nothing of one pixel alone."""
    factors = np.linspace(1.0, 2.0, N)
    raised = (stack.variance * factors[:, None, None]).astype(np.float32)
    correlated = WarpStack(stack.image, raised, stack.mask)
    again = plant(correlated, np.full(N, SIGMA), np.random.default_rng(4), factors)
    np.testing.assert_allclose(again, planted, rtol=1e-5)
    coadd, clipped = combine(stack, warp_weights(stack)), np.abs(planted) > 20.0
    alone = judge(stack, coadd, planted, clipped, ONE)
    counts = judge(correlated, coadd, planted, clipped, factors)
    for one, other in zip(alone, counts, strict=True):
        assert other.n_pixels == pytest.approx(one.n_pixels, abs=1)
        assert other.n_removed == pytest.approx(one.n_removed, abs=1)


def test_pixels_are_counted_as_by_hand() -> None:
    """Nine warps of noise 1: 5 sigma of a warp is 5, of the coadd 5 / 3 times 9, which is 15."""
    shape = (N, 10, 10)
    clean = WarpStack(
        np.zeros(shape, np.float32), np.ones(shape, np.float32), np.zeros(shape, "i4")
    )
    clean.mask[0, 5, 5] = int(MaskPlane.CR)
    planted = np.zeros(shape, np.float32)
    planted[0, 5, 4:8] = 20.0, 16.0, 16.0, 4.0
    planted[1, 2, 2:5] = 14.0
    clipped = np.zeros(shape, bool)
    clipped[0, 5, 4:6] = True
    clipped[1, 2, 2] = True
    found = judge(clean, combine(clean, np.full(N, 1 / N)), planted, clipped, ONE)
    assert found == [
        Planted("hot pixel", n_pixels=2, n_removed=1, n_lifted=2, n_left=1),
        Planted("cosmic ray", n_pixels=3, n_removed=1, n_lifted=0, n_left=0),
        Planted("trail", n_pixels=0, n_removed=0, n_lifted=0, n_left=0),
    ]


def test_a_warp_without_a_good_pixel_gets_nothing() -> None:
    shape = (N, 50, 50)
    mask = np.zeros(shape, np.int32)
    mask[2] = int(MaskPlane.BAD)
    stack = WarpStack(np.zeros(shape, np.float32), np.ones(shape, np.float32), mask)
    planted = plant(stack, np.full(N, SIGMA), np.random.default_rng(1), ONE)
    assert not planted[2].any()
    assert planted[5].any()
