from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.aperture import measure_annulus_background, measure_apertures
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.mask import MaskPlane


def flat(value=2.0, shape=(60, 60)):
    return Planes(
        np.full(shape, value, np.float32),
        np.full(shape, 3.0, np.float32),
        np.zeros(shape, np.int32),
        y0=100,
        x0=200,
    )


def test_a_flat_image_gives_the_area_of_the_circle():
    found = measure_apertures(flat(), y=np.array([130.3]), x=np.array([229.7]), radii=(3.0, 12.0))
    area = np.pi * np.array([9.0, 144.0])
    np.testing.assert_allclose(found.flux[0], 2.0 * area, rtol=1e-5)
    np.testing.assert_allclose(found.error[0], np.sqrt(3.0 * area), rtol=1e-5)
    assert not found.flag.any()


def test_apertures_hold_the_light_that_the_profile_has_inside(star_field):
    planes = Planes(star_field.image, star_field.variance, star_field.mask)
    found = measure_apertures(planes, y=star_field.y, x=star_field.x, radii=(9.0,))
    scale2 = (0.5 * star_field.fwhm) ** 2 / (2 ** (1 / 3.5) - 1)
    inside = 1 - (1 + 81 / scale2) ** -2.5
    edge = np.minimum.reduce([star_field.y, star_field.x, 479 - star_field.y, 479 - star_field.x])
    full = edge > 10
    pull = ((found.flux[:, 0] - inside * star_field.flux) / found.error[:, 0])[full]
    # Neighbours 40 pixels away add a little light.
    assert abs(pull.mean()) < 0.4
    assert 0.85 < pull.std() < 1.2


def test_masked_pixels_take_the_mean_of_the_rest():
    planes = flat()
    planes.mask[30, 30] = int(MaskPlane.BAD)
    planes.image[30, 30] = 1e6
    found = measure_apertures(planes, y=np.array([130.0]), x=np.array([230.0]), radii=(4.0,))
    assert found.has_masked[0, 0]
    assert found.flux[0, 0] == pytest.approx(2 * np.pi * 16, rel=1e-4)


def test_the_edge_is_flagged_and_off_the_image_is_nan():
    found = measure_apertures(
        flat(), y=np.array([101.0, 90.0]), x=np.array([230.0, 230.0]), radii=(4.0,)
    )
    np.testing.assert_array_equal(found.flag[:, 0], [True, True])
    np.testing.assert_array_equal(np.isnan(found.flux[:, 0]), [False, True])


def test_the_ring_gives_the_background_without_sources():
    planes = flat(7.0)
    planes.image[30, 42], planes.mask[30, 42] = 1e6, int(MaskPlane.DETECTED)
    found = measure_annulus_background(
        planes,
        y=np.array([130.0, np.nan, 900.0]),
        x=np.array([230.0, 1.0, 230.0]),
        inner=8,
        outer=14,
    )
    np.testing.assert_array_equal(found, [7.0, 0.0, 0.0])
