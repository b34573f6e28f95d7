from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.starlet import measure_white_noise, shrink_noise, starlet_transform


def test_details_and_rest_add_up_to_the_image() -> None:
    image = np.random.default_rng(4).normal(size=(60, 47)).astype(np.float32)
    details, rest = starlet_transform(image, 4)
    np.testing.assert_allclose(sum(details) + rest, image, atol=1e-5)
    flat = starlet_transform(np.ones((30, 30), np.float32), 3)
    assert max(np.abs(detail).max() for detail in flat[0]) < 1e-6


def test_only_structure_that_stands_out_of_the_noise_is_kept() -> None:
    rng = np.random.default_rng(8)
    variance = np.full((200, 200), 0.005**2, dtype=np.float32)
    known = np.ones((200, 200), dtype=bool)
    noise = rng.normal(1, 0.005, (200, 200)).astype(np.float32)
    filtered, left = shrink_noise(noise, variance, known)
    assert filtered.std() < 0.1 * 0.005
    assert 0.5 < np.sqrt(left.mean()) / filtered.std() < 1.5
    true = rng.normal(1, 0.02, (200, 200)).astype(np.float32)
    kept, _ = shrink_noise(true, variance, known)
    assert np.std(kept - true) < 0.1 * 0.02
    noise[50, 60] = 0.9
    assert shrink_noise(noise, variance, known)[0][50, 60] == pytest.approx(0.9, abs=2e-3)


def test_smooth_structure_below_the_noise_of_a_pixel_is_kept() -> None:
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:240, :240]
    shadow = 1 - 0.01 * np.exp(-((y - 120) ** 2 + (x - 90) ** 2) / (2 * 8.0**2))
    image = (shadow + rng.normal(0, 0.005, shadow.shape)).astype(np.float32)
    variance = np.full(shadow.shape, 0.005**2, dtype=np.float32)
    filtered, _ = shrink_noise(image, variance, np.ones(shadow.shape, dtype=bool))
    # At most an eighth of a shadow of 1 % is lost where each pixel has a noise of half of it.
    near = np.hypot(y - 120, x - 90) < 10
    assert abs(np.mean((filtered - shadow)[near])) < 1.2e-3
    assert np.std((filtered - shadow)[near]) < 0.3 * 0.005


def test_pixels_that_are_not_known_are_filled_from_around() -> None:
    image = np.full((40, 40), 0.97, dtype=np.float32)
    known = np.ones((40, 40), dtype=bool)
    known[20, 20], image[20, 20] = False, 7.0
    variance = np.full((40, 40), 1e-4, dtype=np.float32)
    assert shrink_noise(image, variance, known)[0][20, 20] == pytest.approx(0.97, abs=1e-4)


def test_white_noise_is_measured_under_smooth_structure() -> None:
    rng = np.random.default_rng(6)
    y, x = np.mgrid[:300, :300]
    image = (np.sin(y / 15) * np.cos(x / 12) + rng.normal(0, 0.3, y.shape)).astype(np.float32)
    known = rng.random(y.shape) > 0.02
    image[~known] = 50.0
    assert measure_white_noise(image, known) == pytest.approx(0.3**2, rel=0.03)
