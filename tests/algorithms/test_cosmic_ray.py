from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.cosmic_ray import (
    CosmicRaySettings,
    find_cosmic_rays,
    neighbour_ratios,
)
from lsstpipe.algorithms.planes import Planes
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.mask import MaskPlane


def tracks(shape, n, seed):
    """Straight one-pixel-wide tracks, as electrons leave them."""
    rng = np.random.default_rng(seed)
    deposit = np.zeros(shape)
    for _ in range(n):
        start, angle = rng.uniform(20, shape[0] - 40, 2), rng.uniform(0, 2 * np.pi)
        length = rng.exponential(6) + 1
        along = np.linspace(0, length, int(4 * length) + 1)
        y = np.clip(np.rint(start[0] + along * np.sin(angle)), 2, shape[0] - 3).astype(int)
        x = np.clip(np.rint(start[1] + along * np.cos(angle)), 2, shape[1] - 3).astype(int)
        np.add.at(deposit, (y, x), (300 + rng.exponential(1500)) / 4)
    return deposit


@pytest.mark.parametrize("name", ["star_field", "sharp_field"])
def test_no_pixel_of_a_clean_frame_is_called_a_cosmic_ray(name, request, draw_moffat):
    field = request.getfixturevalue(name)
    stamp = draw_moffat(0.0, 0.0, fwhm=field.fwhm, size=25)
    found = find_cosmic_rays(Planes(field.image, field.variance, field.mask), stamp)
    assert found.sum() == 0


@pytest.mark.parametrize("name", ["star_field", "sharp_field"])
def test_tracks_are_found(name, request, draw_moffat):
    field = request.getfixturevalue(name)
    deposit = tracks(field.image.shape, 60, seed=8)
    planes = Planes(
        (field.image + deposit).astype(np.float32),
        (field.variance + deposit).astype(np.float32),
        field.mask,
    )
    found = find_cosmic_rays(planes, draw_moffat(0.0, 0.0, fwhm=field.fwhm, size=25))
    noise = np.sqrt(field.variance)
    assert found[deposit > 10 * noise].mean() >= 0.98
    assert found[deposit > 5 * noise].mean() >= 0.93
    near = np.zeros(found.shape, bool)
    for y, x in np.argwhere(deposit > 0):
        near[y - 1 : y + 2, x - 1 : x + 2] = True
    assert (found & ~near).sum() == 0


def test_a_faint_group_is_left_alone(draw_moffat):
    image = np.zeros((30, 30), np.float32)
    image[10, 10], image[20, 20] = 90.0, 500.0
    planes = Planes(image, np.full(image.shape, 4.0, np.float32), np.zeros(image.shape, np.int32))
    found = find_cosmic_rays(planes, draw_moffat(0.0, 0.0, fwhm=3.0, size=15))
    np.testing.assert_array_equal(np.argwhere(found), [[20, 20]])


def test_invalid_pixels_are_neither_hit_nor_compared_with(draw_moffat):
    image = np.zeros((30, 30), np.float32)
    image[10, 10:13] = 500.0
    mask = np.zeros(image.shape, np.int32)
    mask[10, 11] = int(MaskPlane.SAT)
    planes = Planes(image, np.full(image.shape, 4.0, np.float32), mask)
    found = find_cosmic_rays(planes, draw_moffat(0.0, 0.0, fwhm=3.0, size=15))
    np.testing.assert_array_equal(np.argwhere(found), [[10, 10], [10, 12]])


def test_a_psf_that_is_much_too_wide_is_an_algorithm_error(sharp_field, draw_moffat):
    planes = Planes(sharp_field.image, sharp_field.variance, sharp_field.mask)
    strict = CosmicRaySettings(psf_share=1.0, slack=0.0, max_share=1e-4)
    with pytest.raises(AlgorithmError, match="the PSF is too wide"):
        find_cosmic_rays(planes, draw_moffat(0.0, 0.0, fwhm=6.0, size=25), strict)


def test_ratios_are_those_of_a_gaussian():
    grid = np.arange(11) - 5
    stamp = np.exp(-0.5 * (grid[:, None] ** 2 + grid**2) / 1.3**2)
    near, far = np.exp(-0.5 / 1.3**2), np.exp(-1.0 / 1.3**2)
    np.testing.assert_allclose(neighbour_ratios(stamp), [near, near, far, far])
