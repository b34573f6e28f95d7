from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.image.psf import (
    CellPsf,
    PolynomialPsf,
    nearest_pixel,
    psf_from_arrays,
    stamp_moments,
)


def gaussian(sigma, *, y=0.0, x=0.0, size=25, step=1.0):
    grid = (np.arange(size) - size // 2) * step
    profile = np.exp(-0.5 * ((grid[:, None] - y) ** 2 + (grid - x) ** 2) / sigma**2)
    return profile / profile.sum()


def moffat(fwhm, *, y=0.0, x=0.0, size=25, step=1.0):
    grid = (np.arange(size) - size // 2) * step
    core = (fwhm / 2) ** 2 / (2**0.25 - 1)
    profile = (1 + ((grid[:, None] - y) ** 2 + (grid - x) ** 2) / core) ** -4.0
    return profile / profile.sum()


def spline_psf(order=1, oversampling=2):
    n_knots = oversampling * 24 + 1
    offset = (np.arange(n_knots) - n_knots // 2) / oversampling
    round_ = np.exp(-0.5 * (offset[:, None] ** 2 + offset**2) / 1.5**2)
    terms = (order + 1) * (order + 2) // 2
    coefficients = round_ * np.concatenate([[1.0], np.full(terms - 1, 0.0)])[:, None, None]
    wider = np.exp(-0.5 * (offset[:, None] ** 2 + offset**2) / 1.8**2)
    if terms > 1:
        coefficients[1] = 0.2 * (wider - round_)
    return PolynomialPsf(coefficients, order, oversampling, (10, 20, 100, 200), 25)


positions = st.floats(12.0, 100.0)


@given(y=positions, x=positions)
def test_a_stamp_sums_to_one_anywhere(y, x):
    assert spline_psf().stamp(y=y, x=x).sum() == pytest.approx(1.0, abs=1e-12)


@given(y=positions, x=positions)
def test_the_centroid_of_a_stamp_is_the_fractional_position(y, x):
    stamp = spline_psf().stamp(y=y, x=x)
    grid = np.arange(25) - 12
    assert nearest_pixel(np.array(y)) + (stamp.sum(axis=1) @ grid) == pytest.approx(y, abs=1e-4)
    assert nearest_pixel(np.array(x)) + (stamp.sum(axis=0) @ grid) == pytest.approx(x, abs=1e-4)


@pytest.mark.parametrize("oversampling", [1, 2])
def test_gradients_agree_with_finite_differences(oversampling):
    psf = spline_psf(oversampling=oversampling)
    y, x, step = 40.2, 31.3, 1e-5
    drawn = psf.gradients(y=np.array([y]), x=np.array([x]))[0]
    by_y = (psf.stamp(y=y + step, x=x) - psf.stamp(y=y - step, x=x)) / (2 * step)
    by_x = (psf.stamp(y=y, x=x + step) - psf.stamp(y=y, x=x - step)) / (2 * step)
    # The basis changes with the position too, by 1e-2 of the PSF a pixel in this model.
    np.testing.assert_allclose(drawn[1], by_y, atol=2e-4)
    np.testing.assert_allclose(drawn[2], by_x, atol=2e-4)
    assert np.abs(drawn[1]).max() > 1e-2


def test_the_width_follows_the_polynomial():
    psf = spline_psf(order=1)
    widths = [psf.sigma(y=60.0, x=x) for x in (20.0, 120.0, 219.0)]
    assert widths[0] < widths[1] < widths[2]


def test_moments_of_an_elliptical_gaussian_are_its_own():
    grid = np.arange(41) - 20
    covariance = np.array([[4.0, 0.7], [0.7, 3.0]])
    inverse = np.linalg.inv(covariance)
    dy, dx = np.meshgrid(grid, grid, indexing="ij")
    stamp = np.exp(
        -0.5 * (inverse[0, 0] * dy**2 + 2 * inverse[0, 1] * dy * dx + inverse[1, 1] * dx**2)
    )
    assert stamp_moments(stamp) == pytest.approx((4.0, 3.0, 0.7), rel=1e-5)


def test_a_cell_psf_takes_the_nearest_cell():
    images = np.stack([[gaussian(1.5), gaussian(2.0)], [gaussian(2.5), gaussian(3.0)]])
    psf = CellPsf(images, y0=100, x0=200, cell_size=50)
    for y, x, sigma in (
        (110, 210, 1.5),
        (149.4, 249.6, 2.0),
        (149.6, 249.4, 2.5),
        (999, 999, 3.0),
        (0, 0, 1.5),
    ):
        expected = CellPsf(gaussian(sigma)[None, None], 0, 0, 1).stamp(y=y, x=x)
        np.testing.assert_array_equal(psf.stamp(y=y, x=x), expected)


def test_a_shifted_cell_psf_is_the_shifted_profile():
    psf = CellPsf(gaussian(1.5)[None, None], 0, 0, 100)
    for y, x in ((10.3, 20.45), (9.5, 7.5), (3.0, 4.75)):
        dy, dx = y - np.floor(y + 0.5), x - np.floor(x + 0.5)
        truth = gaussian(1.5, y=dy, x=dx)
        np.testing.assert_allclose(psf.stamp(y=y, x=x), truth, atol=4e-3 * truth.max())


@pytest.mark.parametrize(("profile", "width"), [(gaussian, 2.3 / 2.3548), (moffat, 2.3)])
def test_with_two_knots_a_pixel_an_undersampled_psf_keeps_its_size_off_centre(profile, width):
    psf = CellPsf(profile(width, size=49, step=0.5)[None, None], 0, 0, 100, oversampling=2)
    assert psf.size == 25
    np.testing.assert_allclose(psf.stamp(y=50.0, x=50.0), profile(width), atol=1e-12)
    for y, x in np.random.default_rng(5).uniform(-0.5, 0.5, (40, 2)):
        drawn = stamp_moments(psf.stamp(y=50.0 + y, x=50.0 + x))
        truth = stamp_moments(profile(width, y=y, x=x))
        assert drawn[0] + drawn[1] == pytest.approx(truth[0] + truth[1], rel=2e-3)


def test_the_centred_images_are_those_of_sources_in_the_middle_of_a_pixel():
    psf = CellPsf(gaussian(1.5, size=49, step=0.5)[None, None], 0, 0, 100, oversampling=2)
    centred = psf.centred[0, 0]
    np.testing.assert_allclose(centred / centred.sum(), gaussian(1.5), atol=1e-15)


def test_knots_that_make_no_odd_stamp_are_refused():
    with pytest.raises(ValueError, match="odd number of pixels"):
        CellPsf(np.ones((1, 1, 7, 7)), 0, 0, 10, oversampling=2)


@pytest.mark.parametrize(
    "psf",
    [
        spline_psf(2),
        CellPsf(np.ones((2, 3, 5, 5)), 7, 8, 9),
        CellPsf(np.ones((2, 3, 9, 9)), 7, 8, 9, oversampling=2),
    ],
    ids=["polynomial", "cell", "oversampled"],
)
def test_arrays_round_trip(psf):
    again = psf_from_arrays(psf.to_arrays())
    y, x = np.array([3.2, 60.0]), np.array([4.9, 80.1])
    np.testing.assert_array_equal(again.stamps(y=y, x=x), psf.stamps(y=y, x=x))
    assert again.size == psf.size


def test_arrays_of_nothing_are_refused():
    with pytest.raises(ValueError, match="must hold 'polynomial' or 'cells'"):
        psf_from_arrays({"something": np.ones(3)})


def test_coefficients_of_another_order_are_refused():
    with pytest.raises(ValueError, match="must have shape"):
        PolynomialPsf(np.ones((2, 5, 5)), 1, 1, (0, 0, 10, 10), 5)
