from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsstpipe.algorithms.interpolate import interpolate_pixels
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.mask import MaskPlane

BAD = int(MaskPlane.BAD)


@given(level=st.floats(-1e4, 1e4), seed=st.integers(0, 1000))
def test_a_constant_image_stays_constant(level, seed):
    rng = np.random.default_rng(seed)
    image = np.full((24, 24), level, np.float32)
    mask = np.where(rng.uniform(size=image.shape) < 0.3, BAD, 0).astype(np.int32)
    image[mask != 0] = -1e6
    filled = interpolate_pixels(image, mask, planes=MaskPlane.BAD, psf_sigma=1.3)
    np.testing.assert_allclose(filled.image, level, rtol=1e-5, atol=1e-3)


def test_only_the_named_planes_and_nan_are_replaced():
    image = np.arange(100, dtype=np.float32).reshape(10, 10)
    mask = np.zeros(image.shape, np.int32)
    mask[2, 2], mask[5, 5] = BAD, int(MaskPlane.SAT)
    image[7, 7] = np.nan
    filled = interpolate_pixels(image, mask, planes=MaskPlane.BAD, psf_sigma=1.3)
    np.testing.assert_array_equal(np.argwhere(filled.replaced), [[2, 2], [7, 7]])
    good = ~filled.replaced
    np.testing.assert_array_equal(filled.image[good], image[good])
    assert np.isnan(image[7, 7])


def test_a_column_through_stars_is_restored_to_a_few_percent(star_field):
    exact = star_field.noiseless.astype(np.float32)
    columns = np.unique(np.rint(star_field.x).astype(int))[::9]
    mask = np.zeros(exact.shape, np.int32)
    mask[:, columns] = BAD
    filled = interpolate_pixels(exact, mask, planes=MaskPlane.BAD, psf_sigma=1.36)
    error = filled.image[:, columns] - exact[:, columns]
    assert np.abs(error).sum() < 0.12 * exact[:, columns].sum()


def test_a_large_hole_takes_the_level_around_it():
    rng = np.random.default_rng(5)
    image = rng.normal(50.0, 1.0, (100, 100)).astype(np.float32)
    mask = np.zeros(image.shape, np.int32)
    mask[20:80, 20:80] = BAD
    image[mask != 0] = 1e9
    filled = interpolate_pixels(image, mask, planes=MaskPlane.BAD, psf_sigma=1.5)
    assert np.abs(filled.image - 50.0).max() < 6.0


def test_an_image_without_a_good_pixel_is_an_algorithm_error():
    image = np.full((8, 8), np.nan, np.float32)
    with pytest.raises(AlgorithmError, match="no good pixel"):
        interpolate_pixels(
            image, np.zeros(image.shape, np.int32), planes=MaskPlane.BAD, psf_sigma=1
        )
