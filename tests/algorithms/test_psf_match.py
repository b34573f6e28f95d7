import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.psf_match import gaussian_stamp, match_psf, matching_kernel, target_sigma
from lsstpipe.image.mask import MaskPlane, has

FloatArray = npt.NDArray[np.float64]


def moffat(fwhm: float, size: int = 31) -> FloatArray:
    offset = np.arange(size) - size // 2
    core = (fwhm / 2.0) ** 2 / (2.0**0.25 - 1.0)
    profile = (1.0 + (offset[:, None] ** 2 + offset**2) / core) ** -4.0
    return np.asarray(profile / profile.sum())


def planes_of(image: npt.NDArray[np.floating]) -> Planes:
    shape = image.shape
    return Planes(image.astype(np.float32), np.ones(shape, np.float32), np.zeros(shape, np.int32))


@pytest.mark.parametrize("fwhm", [2.3, 3.0, 4.0])
def test_stars_of_every_seeing_get_the_same_profile(fwhm: float) -> None:
    target = gaussian_stamp(target_sigma(np.array([2.3, 3.0, 4.0]) / 2.3548), 31)
    image = np.zeros((81, 81))
    image[25:56, 25:56] = 1e4 * moffat(fwhm)
    kernel = matching_kernel(moffat(fwhm), target)[None, None]
    matched = match_psf(planes_of(image), kernel, cell_size=81).image[25:56, 25:56]
    assert np.abs(matched - 1e4 * target).max() < 0.01 * 1e4 * target.max()
    assert matched.sum() == pytest.approx(1e4, rel=0.01)


def test_matching_keeps_the_level_of_an_even_sky() -> None:
    kernel = matching_kernel(moffat(2.5), gaussian_stamp(2.0, 31))[None, None]
    matched = match_psf(planes_of(np.full((90, 90), 7.0)), kernel, cell_size=90)
    assert matched.image[20:70, 20:70] == pytest.approx(np.full((50, 50), 7.0), rel=1e-5)


def test_the_variance_of_the_matched_image_is_that_of_its_pixels() -> None:
    rng = np.random.default_rng(1)
    kernel = matching_kernel(moffat(2.5), gaussian_stamp(2.0, 31))[None, None]
    matched = match_psf(planes_of(rng.normal(size=(400, 400))), kernel, cell_size=400)
    inner = np.s_[20:380, 20:380]
    assert matched.image[inner].var() == pytest.approx(matched.variance[inner].mean(), rel=0.05)


@pytest.mark.parametrize(
    ("cell_size", "middles"),
    [(20, [9.5, 29.5, 41.5]), (15, [7.0, 22.0, 36.5])],
    ids=["the last cell is a fifth", "of 14 pixels instead of 15"],
)
def test_each_kernel_holds_in_the_middle_of_its_cell(cell_size: int, middles: list[float]) -> None:
    unit = np.zeros((3, 3))
    unit[1, 1] = 1.0
    kernels = np.array([[1.0 * unit, 3.0 * unit, 7.0 * unit]])
    image = planes_of(np.ones((8, 44)))
    matched = match_psf(image, kernels, cell_size=cell_size).image
    expected = np.interp(np.arange(44), middles, [1.0, 3.0, 7.0])
    assert matched == pytest.approx(np.broadcast_to(expected, (8, 44)), rel=1e-5)


def test_missing_pixels_stay_missing_and_spoil_no_others() -> None:
    image = np.zeros((50, 50))
    image[20, 20] = np.nan
    matched = match_psf(planes_of(image), gaussian_stamp(1.5, 15)[None, None], cell_size=50)
    assert np.argwhere(np.isnan(matched.image)).tolist() == [[20, 20]]
    assert np.argwhere(has(matched.mask, MaskPlane.NO_DATA)).tolist() == [[20, 20]]
