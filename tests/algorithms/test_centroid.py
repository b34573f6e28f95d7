from __future__ import annotations

import numpy as np

from lsstpipe.algorithms.centroid import measure_centroids
from lsstpipe.algorithms.planes import Planes


def test_centroids_reach_the_noise_that_they_report(star_field):
    planes = Planes(star_field.image, star_field.variance, star_field.mask, y0=30, x0=70)
    rng = np.random.default_rng(1)
    start = rng.uniform(-0.5, 0.5, (2, len(star_field.y)))
    found = measure_centroids(
        planes, y=star_field.y + 30 + start[0], x=star_field.x + 70 + start[1], psf_sigma=1.4
    )
    assert not found.flag.any()
    pull = np.r_[
        (found.y - 30 - star_field.y) / found.y_error,
        (found.x - 70 - star_field.x) / found.x_error,
    ]
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size)
    assert 0.85 < pull.std() < 1.25


def test_a_gaussian_is_centred_exactly():
    grid = np.arange(41.0)
    image = np.exp(-0.5 * ((grid[:, None] - 19.3) ** 2 + (grid - 20.8) ** 2) / 1.5**2)
    planes = Planes(
        (1e4 * image).astype(np.float32),
        np.ones((41, 41), np.float32),
        np.zeros((41, 41), np.int32),
    )
    found = measure_centroids(planes, y=np.array([20.0]), x=np.array([20.0]), psf_sigma=1.5)
    assert abs(found.y[0] - 19.3) < 2e-4
    assert abs(found.x[0] - 20.8) < 2e-4


def test_a_position_without_a_source_is_flagged_and_stays():
    planes = Planes(
        np.full((20, 20), -1, np.float32),
        np.ones((20, 20), np.float32),
        np.zeros((20, 20), np.int32),
    )
    found = measure_centroids(
        planes, y=np.array([5.2, -40.0]), x=np.array([6.1, 3.0]), psf_sigma=1.5
    )
    assert found.flag.all()
    np.testing.assert_array_equal(found.y, [5.2, -40.0])
    assert np.isnan(found.y_error).all()
