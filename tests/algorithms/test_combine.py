import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms._combine_kernel import robust_mean
from lsstpipe.algorithms.combine import WarpStack, combine, warp_weights
from lsstpipe.algorithms.planes import Planes
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.mask import MaskPlane, has


def stack_of(n: int, rng: np.random.Generator, sigma: float = 3.0) -> WarpStack:
    shape = (n, 30, 40)
    return WarpStack(
        rng.normal(10.0, sigma, shape).astype(np.float32),
        np.full(shape, sigma**2, np.float32),
        np.zeros(shape, np.int32),
        y0=5,
        x0=7,
    )


def planes_at(stack: WarpStack, mask: npt.NDArray[np.int32], plane: MaskPlane) -> bool:
    return bool(has(mask, plane)[3, 4])


def test_better_warps_weigh_more_and_the_errors_of_the_mean_hold() -> None:
    rng = np.random.default_rng(1)
    sigma = np.array([1.0, 2.0, 4.0])
    image = 10.0 + rng.normal(size=(3, 120, 120)) * sigma[:, None, None]
    variance = np.broadcast_to(sigma[:, None, None] ** 2, image.shape)
    stack = WarpStack(
        image.astype(np.float32), variance.astype(np.float32), np.zeros(image.shape, np.int32)
    )
    weights = warp_weights(stack)
    assert weights == pytest.approx((1 / sigma**2) / np.sum(1 / sigma**2), rel=1e-5)
    planes = combine(stack, weights).planes
    best = 1.0 / np.sum(1.0 / sigma**2)
    assert planes.variance == pytest.approx(np.full((120, 120), best), rel=1e-5)
    assert planes.image.var() == pytest.approx(best, rel=0.04)
    assert planes.image.mean() == pytest.approx(10.0, abs=0.03)


def test_the_mean_equals_numpys_average_where_all_is_good() -> None:
    stack = stack_of(5, np.random.default_rng(2))
    weights = np.array([0.1, 0.2, 0.3, 0.15, 0.25])
    coadd = combine(stack, weights)
    assert coadd.planes.image == pytest.approx(
        np.average(stack.image.astype(float), axis=0, weights=weights), rel=1e-6
    )
    assert np.all(coadd.n_image == 5)
    assert np.all(coadd.planes.mask == 0)
    assert (coadd.planes.y0, coadd.planes.x0) == (5, 7)


def test_stars_do_not_change_the_weight_of_their_warp() -> None:
    stack = stack_of(2, np.random.default_rng(3))
    stack.variance[0, 10:13, 10:13] = 1e5
    assert warp_weights(stack) == pytest.approx([0.5, 0.5], rel=1e-6)


@pytest.mark.parametrize(
    "plane", [MaskPlane.BAD, MaskPlane.CR, MaskPlane.CLIPPED, MaskPlane.NO_DATA, MaskPlane.SAT]
)
def test_a_bad_pixel_of_one_warp_is_left_out_and_marked(plane: MaskPlane) -> None:
    stack = stack_of(4, np.random.default_rng(4))
    stack.image[1, 3, 4] = 1e6
    stack.mask[1, 3, 4] = int(plane)
    coadd = combine(stack, np.full(4, 0.25))
    others = stack.image[[0, 2, 3], 3, 4].mean()
    assert coadd.planes.image[3, 4] == pytest.approx(others, rel=1e-6)
    assert coadd.n_image[3, 4] == 3
    assert planes_at(stack, coadd.planes.mask, MaskPlane.REJECTED | MaskPlane.INEXACT_PSF)
    assert planes_at(stack, coadd.planes.mask, MaskPlane.CLIPPED) == (plane == MaskPlane.CLIPPED)
    assert not has(coadd.planes.mask, MaskPlane.BAD | MaskPlane.CR | MaskPlane.NO_DATA).any()
    marked = coadd.planes.mask != 0
    assert marked.sum() == 1


def test_saturation_shows_when_more_than_a_tenth_of_the_weight_is_saturated() -> None:
    stack = stack_of(3, np.random.default_rng(5))
    stack.mask[0, 3, 4] = stack.mask[1, 6, 6] = int(MaskPlane.SAT)
    mask = combine(stack, np.array([0.09, 0.11, 0.8])).planes.mask
    assert not has(mask, MaskPlane.SAT)[3, 4]
    assert has(mask, MaskPlane.SAT)[6, 6]


def test_where_every_warp_is_bad_their_interpolated_values_are_averaged_and_marked() -> None:
    stack = stack_of(3, np.random.default_rng(6))
    stack.mask[:, 3, 4] = int(MaskPlane.SAT | MaskPlane.INTRP)
    coadd = combine(stack, np.full(3, 1 / 3))
    assert coadd.planes.image[3, 4] == pytest.approx(stack.image[:, 3, 4].mean(), rel=1e-6)
    assert planes_at(stack, coadd.planes.mask, MaskPlane.SAT)
    assert planes_at(stack, coadd.planes.mask, MaskPlane.INTRP)


def test_the_edge_of_a_warp_is_marked_and_a_hole_in_all_has_no_data() -> None:
    stack = stack_of(3, np.random.default_rng(7))
    stack.image[0, :, :8] = stack.variance[0, :, :8] = np.nan
    stack.image[:, 20, 20] = stack.variance[:, 20, 20] = np.nan
    coadd = combine(stack, np.full(3, 1 / 3))
    mask = coadd.planes.mask
    assert np.all(has(mask, MaskPlane.SENSOR_EDGE)[:, :8])
    assert not has(mask, MaskPlane.SENSOR_EDGE | MaskPlane.INEXACT_PSF)[:, 8:].any()
    assert np.argwhere(has(mask, MaskPlane.NO_DATA)).tolist() == [[20, 20]]
    assert np.isnan(coadd.planes.image[20, 20])
    assert np.isnan(coadd.planes.variance[20, 20])
    assert coadd.n_image[20, 20] == 0
    assert np.all(coadd.n_image[:, :8] == 2)


def test_a_warp_without_a_good_pixel_has_no_weight() -> None:
    stack = stack_of(2, np.random.default_rng(8))
    stack.mask[0] = int(MaskPlane.NO_DATA)
    assert warp_weights(stack).tolist() == [0.0, 1.0]
    stack.mask[1] = int(MaskPlane.NO_DATA)
    with pytest.raises(AlgorithmError, match="nothing to combine"):
        warp_weights(stack)


def test_stacking_applies_the_factors_of_the_variance_and_wants_one_box() -> None:
    ones, zero = np.ones((4, 4), np.float32), np.zeros((4, 4), np.int32)
    warps = [Planes(ones, ones, zero, 1, 2), Planes(ones, ones, zero, 1, 2)]
    stack = WarpStack.of(warps, np.array([1.0, 1.5]))
    assert stack.variance[:, 0, 0].tolist() == [1.0, 1.5]
    with pytest.raises(ValueError, match="one box"):
        WarpStack.of([warps[0], Planes(ones, ones, zero, 1, 3)], np.ones(2))
    with pytest.raises(ValueError, match="one shape"):
        WarpStack(ones, ones, zero)


def test_the_robust_mean_is_not_moved_by_outliers_and_not_biased_by_clipping() -> None:
    rng = np.random.default_rng(9)
    image = rng.normal(5.0, 1.0, (9, 60, 60)).astype(np.float32)
    image[2] += 50.0
    image[0, :, :5] = np.nan
    mean = np.empty((60, 60), np.float32)
    mask = np.zeros(image.shape, np.int32)
    mask[1, 30:], image[1, 30:] = int(MaskPlane.CR), 4.0
    robust_mean((image, mask, np.ones_like(image)), np.int32(int(MaskPlane.CR)), 3.0, mean)
    image[1, 30:] = np.nan
    good = np.nanmean(np.delete(image, 2, axis=0), axis=0)
    assert np.median(np.abs(mean - good)) < 0.02
    assert mean.mean() == pytest.approx(5.0, abs=0.03)
    nothing = np.full_like(image, np.nan)
    robust_mean((nothing, mask, np.ones_like(image)), np.int32(0), 3.0, mean)
    assert np.all(np.isnan(mean))
