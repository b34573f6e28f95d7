from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.moments import measure_moments, psf_moments
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image._psf_kernel import weighted_sums
from lsstpipe.image.psf import CellPsf


def planes_of(image):
    return Planes(
        image.astype(np.float32),
        np.ones(image.shape, np.float32),
        np.zeros(image.shape, np.int32),
        y0=5,
        x0=-3,
    )


def test_an_elliptical_gaussian_has_its_own_moments_and_flux():
    dy, dx = np.mgrid[:61, :61] - 30.0
    covariance = np.array([[5.0, -0.8], [-0.8, 3.5]])
    inverse = np.linalg.inv(covariance)
    image = 1e3 * np.exp(
        -0.5 * (inverse[0, 0] * dy**2 + 2 * inverse[0, 1] * dy * dx + inverse[1, 1] * dx**2)
    )
    found = measure_moments(
        planes_of(image), y=np.array([35.4]), x=np.array([26.8]), psf_sigma=1.5, half_size=20
    )
    assert found.iyy[0] == pytest.approx(5.0, rel=1e-3)
    assert found.ixx[0] == pytest.approx(3.5, rel=1e-3)
    assert found.ixy[0] == pytest.approx(-0.8, rel=2e-3)
    assert (found.y[0], found.x[0]) == pytest.approx((35.0, 27.0), abs=1e-3)
    true_flux = 1e3 * 2 * np.pi * np.sqrt(np.linalg.det(covariance))
    assert found.flux[0] == pytest.approx(true_flux, rel=2e-3)
    assert found.sigma[0] == pytest.approx(np.sqrt(4.25), rel=1e-3)


def test_stars_have_the_size_of_the_psf(star_field, draw_moffat):
    planes = Planes(star_field.image, star_field.variance, star_field.mask)
    found = measure_moments(planes, y=star_field.y, x=star_field.x, psf_sigma=1.4)
    bright = star_field.flux > 3e4
    psf = CellPsf(draw_moffat(0.0, 0.0, fwhm=star_field.fwhm, size=25)[None, None], 0, 0, 480)
    model = psf_moments(psf, y=star_field.y[bright], x=star_field.x[bright])
    assert not found.flag[bright].any()
    ratio = (found.iyy + found.ixx)[bright] / (model.iyy + model.ixx)
    assert np.median(ratio) == pytest.approx(1.0, abs=0.01)


def test_a_place_without_a_source_or_off_the_image_is_flagged():
    planes = planes_of(np.full((30, 30), -1.0))
    found = measure_moments(
        planes, y=np.array([15.0, 500.0, np.nan]), x=np.array([15.0, 3.0, 3.0]), psf_sigma=1.5
    )
    assert found.flag.all()
    assert np.isnan(found.ixx).all()


def test_the_weighted_sums_are_those_of_the_gaussian_pixel_by_pixel():
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:31, :31]
    for _ in range(300):
        stamp, good = rng.normal(size=(31, 31)), rng.random((31, 31)) > 0.1
        myy, mxx = rng.uniform(0.06, 60, 2)
        mxy = rng.uniform(-0.95, 0.95) * np.sqrt(myy * mxx)
        weight = np.array([rng.uniform(5, 25), rng.uniform(-3, 33), myy, mxx, mxy])
        sums = np.empty(7)
        weighted_sums(stamp, good, weight, sums)
        dy, dx = rows - weight[0], columns - weight[1]
        q = (mxx * dy**2 - 2 * mxy * dy * dx + myy * dx**2) / (myy * mxx - mxy**2)
        w = np.where((q < 32) & good, np.exp(-0.5 * q), 0.0)
        v = w * stamp
        terms = (w * w, v, v * dy, v * dx, v * dy**2, v * dx**2, v * dy * dx)
        np.testing.assert_allclose(sums, [t.sum() for t in terms], atol=1e-9, rtol=1e-9)
