import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.resample import (
    PixelMap,
    between,
    covariance_factor,
    lanczos_weights,
    node_grid,
    warp,
)
from lsstpipe.geometry.box import Box
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.mask import MaskPlane, has

FloatArray = npt.NDArray[np.float64]


def turned(angle_deg: float, scale: float, dy: float, dx: float) -> PixelMap:
    """Map that turns, scales and shifts about pixel (50, 50)."""
    c, s = scale * np.cos(np.deg2rad(angle_deg)), scale * np.sin(np.deg2rad(angle_deg))

    def to_source(y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        v, u = y - 50.0, x - 50.0
        return 50.0 + dy + c * v - s * u, 50.0 + dx + s * v + c * u

    return to_source


def planes_of(image: npt.NDArray[np.floating], variance: float = 1.0) -> Planes:
    shape = image.shape
    return Planes(
        image.astype(np.float32), np.full(shape, variance, np.float32), np.zeros(shape, np.int32)
    )


def gaussian_star(shape: tuple[int, int], y: float, x: float, sigma: float) -> FloatArray:
    rows, columns = np.indices(shape)
    profile = np.exp(-0.5 * ((rows - y) ** 2 + (columns - x) ** 2) / sigma**2)
    return np.asarray(profile / (2.0 * np.pi * sigma**2))


@pytest.mark.parametrize("order", [3, 5])
def test_the_compiled_warp_equals_the_sum_over_all_pixels_of_the_definition(order: int) -> None:
    rng = np.random.default_rng(1)
    source = Planes(
        rng.normal(100.0, 10.0, (40, 45)).astype(np.float32),
        rng.uniform(1.0, 2.0, (40, 45)).astype(np.float32),
        (1 << rng.integers(0, 5, (40, 45))).astype(np.int32),
        y0=30,
        x0=28,
    )
    to_source, box = turned(7.3, 1.05, 0.3, -0.7), Box(40, 41, 12, 9)
    result = warp(source, box, to_source, order=order)
    for row in range(box.ny):
        for column in range(box.nx):
            at = to_source(np.array(box.y0 + row), np.array(box.x0 + column))
            axes = []
            for position, first, length in zip(at, (30, 28), (40, 45), strict=True):
                offset = np.arange(length) + first - position
                kernel = np.sinc(offset) * np.sinc(offset / order) * (np.abs(offset) < order)
                axes.append(kernel / kernel.sum())
            weights = np.outer(*axes)
            area = 1.05**2
            assert result.image[row, column] == pytest.approx(
                area * np.sum(weights * source.image), rel=1e-6
            )
            assert result.variance[row, column] == pytest.approx(
                area**2 * np.sum(weights**2 * source.variance), rel=2e-6
            )
            bits = np.bitwise_or.reduce(source.mask[np.abs(weights) > 0.02])
            assert result.mask[row, column] == bits


def test_a_shift_by_whole_pixels_copies_bit_for_bit() -> None:
    rng = np.random.default_rng(2)
    source = planes_of(rng.normal(size=(30, 30)))
    result = warp(source, Box(0, 0, 20, 20), lambda y, x: (y + 3.0, x + 7.0))
    assert np.array_equal(result.image, source.image[3:23, 7:27])
    assert np.array_equal(result.variance, source.variance[3:23, 7:27])


@pytest.mark.parametrize(
    ("order", "flux_mmag", "centroid_pix", "size"), [(3, 1.0, 4e-3, 5e-3), (5, 0.5, 1e-3, 2e-3)]
)
def test_stars_keep_their_flux_place_and_size(
    order: int, flux_mmag: float, centroid_pix: float, size: float
) -> None:
    rng = np.random.default_rng(3)
    to_source, sigma = turned(7.3, 1.0, 0.3, 0.7), 3.6 / 2.3548
    fluxes, shifts, sizes = [], [], []
    for _ in range(60):
        y, x = 50.0 + rng.uniform(-0.5, 0.5, 2)
        source = gaussian_star((101, 101), *(float(v) for v in to_source(*np.array([y, x]))), sigma)
        box = Box(32, 32, 37, 37)
        image = warp(planes_of(source), box, to_source, order=order).image.astype(np.float64)
        rows, columns = np.indices(box.shape)
        v, u = rows + 32 - y, columns + 32 - x
        weight = image * np.exp(-0.5 * (u**2 + v**2) / sigma**2)
        fluxes.append(image.sum())
        # A Gaussian weight of the star's own width halves offsets and squared widths.
        shifts.append([2.0 * (weight * v).sum(), 2.0 * (weight * u).sum()] / weight.sum())
        sizes.append((weight * (u**2 + v**2)).sum() / weight.sum() / sigma**2)
    assert 1085.7 * np.std(fluxes) < flux_mmag
    assert np.mean(fluxes) == pytest.approx(1.0, abs=3e-4)
    assert np.all(np.std(shifts, axis=0) < centroid_pix)
    assert np.mean(sizes) == pytest.approx(1.0, abs=size)


def test_flux_is_conserved_where_the_pixel_scale_changes_over_the_image() -> None:
    def to_source(y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        return y * 0.9 + 5.0, x * 0.8 + 1e-3 * x**2 + 2.0

    sums = []
    for x in np.arange(30.0, 90.0, 2.3):
        at_y, at_x = to_source(np.array(50.0), np.array(x))
        source = gaussian_star((110, 120), float(at_y), float(at_x), 1.7)
        image = warp(planes_of(source), Box(30, int(x) - 20, 41, 41), to_source, order=5).image
        sums.append(image.sum())
    # Single stars ripple with the phase of the kernel; the area is 0.75 to 0.88.
    assert np.mean(sums) == pytest.approx(1.0, abs=3e-4)
    assert np.std(sums) < 2e-3


def test_the_variance_plane_predicts_the_scatter_of_pixels() -> None:
    rng = np.random.default_rng(4)
    noise = rng.normal(0.0, 3.0, (400, 400))
    result = warp(planes_of(noise, 9.0), Box(30, 30, 330, 330), turned(3.1, 1.0, 0.2, 0.4))
    good = np.isfinite(result.image)
    assert good.mean() > 0.9
    assert result.image[good].var() == pytest.approx(result.variance[good].mean(), rel=0.02)


@pytest.mark.parametrize("angle_deg", [0.0, 7.3])
def test_the_covariance_factor_makes_errors_of_psf_fluxes_honest(angle_deg: float) -> None:
    rng = np.random.default_rng(5)
    to_source, box, sigma = turned(angle_deg, 1.0, 0.45, 0.3), Box(20, 20, 420, 420), 1.4
    noise = warp(planes_of(rng.normal(size=(460, 460))), box, to_source)
    profile = np.exp(-0.5 * (np.arange(-6, 7) / sigma) ** 2)
    psf = np.outer(profile, profile)
    blocks = noise.image[:416, :416].reshape(32, 13, 32, 13).swapaxes(1, 2)
    variances = noise.variance[:416, :416].reshape(32, 13, 32, 13).swapaxes(1, 2)
    fluxes = (blocks * psf).sum(axis=(2, 3)).ravel()
    stated = (variances * psf**2).sum(axis=(2, 3)).ravel()
    good = np.isfinite(fluxes)
    factor = covariance_factor(to_source, box, sigma)
    pulls = fluxes[good] / np.sqrt(factor * stated[good])
    assert good.sum() > 600
    assert pulls.std() == pytest.approx(1.0, abs=3.5 / np.sqrt(2 * good.sum()))
    assert factor > 1.15


def test_the_covariance_factor_of_a_copy_is_one() -> None:
    box = Box(0, 0, 50, 50)
    assert covariance_factor(lambda y, x: (y + 1.0, x), box, 1.5) == pytest.approx(1.0)
    nowhere = covariance_factor(lambda y, x: (y * np.nan, x), box, 1.5)
    assert nowhere == 1.0


def test_pixels_that_the_source_does_not_reach_have_no_data() -> None:
    source = planes_of(np.ones((20, 20)))
    result = warp(source, Box(-10, -10, 40, 40), lambda y, x: (y + 0.5, x + 0.5))
    missing = np.isnan(result.image)
    assert np.array_equal(missing, has(result.mask, MaskPlane.NO_DATA))
    assert np.array_equal(missing, np.isnan(result.variance))
    assert np.allclose(result.image[~missing], 1.0)
    rows, columns = np.nonzero(~missing)
    # At half a pixel only the outermost taps of each side are light enough to be missed.
    assert (rows.min() - 10, rows.max() - 10) == (1, 17)
    assert (columns.min() - 10, columns.max() - 10) == (1, 17)


def test_a_map_without_an_inverse_gives_no_data() -> None:
    result = warp(planes_of(np.ones((9, 9))), Box(0, 0, 5, 5), lambda y, x: (y * np.nan, x))
    assert np.all(result.mask == int(MaskPlane.NO_DATA))


def test_a_nan_spoils_the_pixels_that_it_weighs_on_and_no_others() -> None:
    image = np.ones((21, 21))
    image[10, 10] = np.nan
    result = warp(planes_of(image), Box(4, 4, 13, 13), lambda y, x: (y, x + 0.5))
    weights = lanczos_weights(3, np.array([0.5]))[0]
    expected = {
        4 + i
        for i in range(13)
        for t, w in enumerate(weights)
        if 4 + i - 2 + t == 10 and abs(w) > 0.02
    }
    rows, columns = np.nonzero(np.isnan(result.image))
    assert set(rows + 4) == {10}
    assert set(columns + 4) == expected


def test_a_plane_is_handed_on_to_the_pixels_that_its_pixel_weighs_on() -> None:
    source = planes_of(np.ones((21, 21)))
    source.mask[10, 10] = int(MaskPlane.SAT)
    result = warp(source, Box(4, 4, 13, 13), lambda y, x: (y, x))
    rows, columns = np.nonzero(has(result.mask, MaskPlane.SAT))
    assert (rows.tolist(), columns.tolist()) == ([6], [6])


def test_the_node_grid_is_as_fine_as_the_map_needs() -> None:
    def curved(y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        return y + 2e-5 * x**2, x + 3.0 * np.sin(y / 30.0)

    box = Box(10, 20, 150, 70)
    grid = node_grid(curved, box)
    rows, columns = np.indices(box.shape)
    v, u = rows / grid.step, columns / grid.step
    j, i = v.astype(int), u.astype(int)
    v, u = v - j, u - i
    found = sum(
        grid.nodes[:, j + a, i + b] * (v if a else 1 - v) * (u if b else 1 - u)
        for a in (0, 1)
        for b in (0, 1)
    )
    exact = np.stack(curved(rows + 10.0, columns + 20.0))
    assert np.abs(found[:2] - exact).max() < 2e-4
    assert grid.step < 8
    assert node_grid(lambda y, x: (y, x), box).step == 32


def test_the_map_between_two_images_goes_through_the_sky() -> None:
    step = 2.374 / 3600.0
    target = SkyWcs((100.0, 120.0), (285.97, 36.7), ((-step, 0.0), (0.0, step)))
    source = SkyWcs((90.0, 80.0), (286.0, 36.71), ((step, 1e-6), (-1e-6, step)))
    y, x = between(target, source)(np.array([5.0, 190.0]), np.array([7.0, 30.0]))
    ra, dec = source.pixel_to_sky(y=y, x=x)
    back_y, back_x = target.sky_to_pixel(ra, dec)
    assert back_y == pytest.approx([5.0, 190.0], abs=1e-8)
    assert back_x == pytest.approx([7.0, 30.0], abs=1e-8)


def test_kernel_weights_sum_to_one_and_reach_neither_too_far_nor_backward() -> None:
    weights = lanczos_weights(3, np.array([0.0, 0.25, 0.75, 1.0]))
    assert weights.sum(axis=1) == pytest.approx(1.0)
    assert weights[0] == pytest.approx([0, 0, 1, 0, 0, 0], abs=1e-15)
    assert weights[1] == pytest.approx(weights[2][::-1])


def test_an_absurd_order_is_refused() -> None:
    with pytest.raises(ValueError, match="2 to 8"):
        warp(planes_of(np.ones((9, 9))), Box(0, 0, 5, 5), lambda y, x: (y, x), order=1)
