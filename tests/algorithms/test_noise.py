"""The predicted variance is the measured one."""

import numpy as np

from lsstpipe.algorithms.noise import predict_variance


def test_predicted_variance_is_that_of_many_realisations() -> None:
    rng = np.random.default_rng(7)
    signal = np.repeat(np.array([0.0, 100.0, 5000.0, 40000.0]), 4).reshape(4, 4)
    current = np.zeros((4, 4))
    current[:, 3] = 900.0
    shots = rng.poisson(signal + current, (4000, 4, 4)) - current + rng.normal(0, 9, (4000, 4, 4))
    predicted = predict_variance(
        signal.astype(np.float32),
        current.astype(np.float32),
        read_noise=np.full((4, 4), 9.0, np.float32),
    )
    np.testing.assert_allclose(shots.var(axis=0), predicted, rtol=0.12)


def test_negative_pixels_keep_the_read_noise() -> None:
    zero = np.zeros((2, 2), np.float32)
    result = predict_variance(np.full((2, 2), -50, np.float32), zero, read_noise=zero + 5)
    assert np.all(result == 25)
