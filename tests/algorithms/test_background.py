from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms._background_kernel import clipped_mean
from lsstpipe.algorithms.background import (
    BackgroundSettings,
    estimate_sky_variance,
    fit_background,
)
from lsstpipe.algorithms.planes import Planes
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.mask import MaskPlane

SMALL = BackgroundSettings(mesh_size=48)


def slope(shape):
    y, x = np.mgrid[: shape[0], : shape[1]] / shape[0]
    return 1000.0 + 800.0 * y + 300.0 * x * y


def test_a_plane_comes_back_exactly():
    shape = (150, 200)
    y, x = np.mgrid[: shape[0], : shape[1]]
    plane = (500.0 + 0.7 * y - 0.3 * x).astype(np.float32)
    fitted = fit_background(plane, np.zeros(shape, np.int32))
    np.testing.assert_allclose(fitted.image, plane, atol=0.02)


def test_a_sky_that_doubles_over_the_image_is_taken_off_under_stars(star_field):
    sky = slope(star_field.image.shape)
    fitted = fit_background((star_field.image + sky).astype(np.float32), star_field.mask, SMALL)
    noise = np.sqrt(star_field.sky_variance)
    difference = fitted.image - sky
    # The mean of the usable pixels of a mesh is known to noise / sqrt(1500).
    assert np.abs(difference).mean() < 0.06 * noise
    assert abs(difference.mean()) < 0.02 * noise
    assert fitted.rms == pytest.approx(noise, rel=0.02)


def test_masked_pixels_do_not_count(star_field):
    image, mask = star_field.image.copy(), star_field.mask.copy()
    clean = fit_background(image, mask)
    spoilt = np.s_[100:140, 100:160]
    mask[spoilt] = int(MaskPlane.BAD)
    first = fit_background(image, mask)
    image[spoilt] = 1e6
    second = fit_background(image, mask)
    np.testing.assert_array_equal(first.image, second.image)
    assert np.abs(first.image - clean.image).max() < 5.0


def test_nan_pixels_do_not_count():
    image = np.full((128, 128), 7.0, np.float32)
    image[30:60, 30:60] = np.nan
    fitted = fit_background(image, np.zeros(image.shape, np.int32))
    np.testing.assert_allclose(fitted.image, 7.0, atol=1e-4)


def test_an_image_without_good_pixels_is_an_algorithm_error():
    image = np.zeros((64, 64), np.float32)
    with pytest.raises(AlgorithmError, match="No mesh"):
        fit_background(image, np.full(image.shape, int(MaskPlane.NO_DATA), np.int32))


def test_the_variance_of_the_sky_leaves_out_that_of_the_stars(star_field):
    mask = star_field.mask | np.where(
        star_field.noiseless > 1.0, int(MaskPlane.DETECTED), 0
    ).astype(np.int32)
    found = estimate_sky_variance(Planes(star_field.image, star_field.variance, mask))
    np.testing.assert_allclose(found, star_field.sky_variance, rtol=2e-3)


def test_a_mesh_has_the_mean_and_deviation_of_its_unspoilt_pixels() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(300.0, 20.0, 4096)
    values[:40] += 5000.0
    mean, deviation = clipped_mean(rng.permutation(values))
    assert abs(mean - 300.0) < 4 * 20.0 / np.sqrt(4056)
    assert abs(deviation - 20.0) < 4 * 20.0 / np.sqrt(2 * 4056)
    assert clipped_mean(np.array([7.0]))[0] == 7.0
