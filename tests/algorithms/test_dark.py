"""combine_darks on simulated darks with a known truth."""

import numpy as np
import pytest

from lsstpipe.algorithms.dark import combine_darks, combine_scaled_darks
from lsstpipe.errors import AlgorithmError


def _darks(n: int = 8, *, noise: float = 9.0) -> tuple[np.ndarray, np.ndarray]:
    """Make darks of a known mean with a drifting bias; return them and the truth."""
    rng = np.random.default_rng(3)
    truth = rng.uniform(100, 120, (80, 90))
    truth[10, 10] = 5000.0
    drift = np.linspace(10, 0, n)
    noise_map = np.sqrt(noise**2 + np.clip(truth - 110, 0, None))
    darks = truth + drift[:, None, None] + rng.normal(0, 1, (n, 80, 90)) * noise_map
    return darks.astype(np.float32), truth


def test_the_mean_is_the_truth_within_its_variance() -> None:
    darks, truth = _darks()
    master = combine_darks(darks, read_noise=9.0, n_sigma=4)
    difference = master.image - truth
    pull = (difference - np.median(difference)) / np.sqrt(master.variance)
    assert abs(np.std(pull) - 1) < 0.05
    assert abs(master.read_noise - 9.0) < 0.5


def test_the_drift_of_the_bias_is_measured() -> None:
    darks, _ = _darks()
    master = combine_darks(darks, read_noise=9.0, n_sigma=4)
    np.testing.assert_allclose(master.level - master.level[-1], np.linspace(10, 0, 8), atol=0.6)


def test_a_cosmic_ray_leaves_no_trace() -> None:
    darks, truth = _darks()
    darks[4, 40, 20:30] += 3000
    master = combine_darks(darks, read_noise=9.0, n_sigma=4)
    offset = np.median(master.image - truth)
    assert np.all(np.abs(master.image[40, 20:30] - truth[40, 20:30] - offset) < 15)
    assert np.all(master.excess[40, 20:30] < 3)


def test_a_pixel_that_blinks_stands_out() -> None:
    darks, _ = _darks()
    darks[::2, 50, 50] += 400
    master = combine_darks(darks, read_noise=9.0, n_sigma=4)
    assert master.excess[50, 50] > 3
    assert np.sum(master.excess > 3) == 1


def test_two_darks_are_refused() -> None:
    with pytest.raises(AlgorithmError, match="at least 3 darks, got 2"):
        combine_darks(_darks(2)[0], read_noise=9.0, n_sigma=4)


def _scaled(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make darks without bias of several times, and the true current in electrons a second."""
    rng = np.random.default_rng(7)
    rate = rng.uniform(0.09, 0.11, (128, 128))
    rate[10, 10] = 20.0
    darks = [rng.poisson(rate * t) + rng.normal(0, 5, rate.shape) for t in times]
    return np.array(darks, dtype=np.float32), rate


def test_darks_of_different_times_make_one_of_their_mean_time() -> None:
    times = np.array([300.0, 300, 600, 600, 900, 900, 900, 1200])
    darks, rate = _scaled(times)
    darks[3, 40, 20:30] += 3000
    master = combine_scaled_darks(darks, times, read_noise=5.0, n_sigma=4)
    truth = rate * times.mean()
    pull = (master.image - truth) / np.sqrt(master.variance)
    assert abs(master.image.mean() / truth.mean() - 1) < 0.005
    assert pull.std() == pytest.approx(1.0, abs=0.05)
    assert np.abs(pull[40, 20:30]).max() < 5
    assert abs(pull[10, 10]) < 5
    assert master.read_noise == pytest.approx(5.0, rel=0.1)
    assert (master.excess > 3).sum() == 0


def test_a_dark_without_time_is_refused() -> None:
    with pytest.raises(AlgorithmError, match="longer than 0 s, got one of 0 s"):
        combine_scaled_darks(_darks(3)[0], np.array([0.0, 1, 2]), read_noise=5.0, n_sigma=4)


@pytest.mark.parametrize("n", [3, 8])
def test_steady_pixels_are_not_taken_for_unsteady_ones_however_few_darks_there_are(n: int) -> None:
    rng = np.random.default_rng(11)
    darks = rng.normal(20.0, 5.0, (n, 400, 500)).astype(np.float32)
    with_bias = combine_scaled_darks(darks, np.full(n, 60.0), read_noise=5.0, n_sigma=4)
    for master in (combine_darks(darks, read_noise=5.0, n_sigma=4), with_bias):
        assert np.sum(master.excess > 3) <= 10
