"""combine_sky on a simulated dithered night with a known flat."""

from functools import partial

import numpy as np
import pytest

from lsstpipe.algorithms.flat import combine_sky
from lsstpipe.errors import AlgorithmError
from tests.peak_memory import measure_peak

SHAPE = (180, 220)


def _night(n: int = 16, level: float = 1500.0) -> tuple[np.ndarray, np.ndarray]:
    """Simulate dithered exposures with stars, a slope that turns, and a dust shadow."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    flat = 1 - 0.05 * (((y - 90) / 90) ** 2 + ((x - 110) / 110) ** 2) / 2
    flat *= 1 - 0.08 * np.exp(-((y - 60) ** 2 + (x - 70) ** 2) / 2 / 6**2)
    flat /= flat.mean()
    stars = rng.uniform(-40, 260, (60, 2))
    fluxes = 10 ** rng.uniform(3.5, 5.5, 60)
    skies = []
    for i in range(n):
        dy, dx = rng.uniform(-30, 30, 2)
        image = level * (1 + 0.3 * np.cos(i)) * (1 + 0.01 * np.sin(i) * (x - 110) / 110)
        for (sy, sx), flux in zip(stars, fluxes, strict=True):
            image = image + flux / (2 * np.pi * 2) * np.exp(
                -((y - sy - dy) ** 2 + (x - sx - dx) ** 2) / 2 / 2
            )
        skies.append(rng.poisson(image * flat) + rng.normal(0, 9, SHAPE))
    return np.array(skies, dtype=np.float32), flat


def test_the_flat_is_the_truth_within_its_noise_and_shows_no_star() -> None:
    skies, truth = _night()
    none = np.zeros(SHAPE, dtype=bool)
    result = combine_sky(skies, none, read_noise=9.0, n_sigma=3.5)
    ratio = result.image / truth
    error = 1.4826 * np.median(np.abs(ratio - np.median(ratio)))
    # A pixel alone is known to 0.7 %: the filter brings that down, and says how far at least.
    assert 0.5 < error / np.sqrt(np.median(result.variance)) < 1.1
    assert error < 0.0012
    blocks = ratio[:180, :220].reshape(18, 10, 22, 10).mean(axis=(1, 3))
    assert np.std(blocks) < 0.0035


def test_the_dust_shadow_is_kept() -> None:
    skies, truth = _night()
    result = combine_sky(skies, np.zeros(SHAPE, dtype=bool), read_noise=9.0, n_sigma=3.5)
    shadow = (slice(57, 64), slice(67, 74))
    assert abs(result.image[shadow].mean() / truth[shadow].mean() - 1) < 0.005


def test_pixels_marked_bad_are_not_used() -> None:
    skies, _ = _night(8)
    skies[:, 100, 100] = 50000
    bad = np.zeros(SHAPE, dtype=bool)
    bad[100, 100] = True
    result = combine_sky(skies, bad, read_noise=9.0, n_sigma=3.5)
    assert result.n_used[100, 100] == 0
    assert result.image[100, 100] == pytest.approx(1, abs=0.1)


def test_four_exposures_or_a_dark_sky_are_refused() -> None:
    skies, _ = _night(5)
    none = np.zeros(SHAPE, dtype=bool)
    with pytest.raises(AlgorithmError, match="at least 5 dithered exposures, got 4"):
        combine_sky(skies[:4], none, read_noise=9.0, n_sigma=3.5)
    with pytest.raises(AlgorithmError, match="sky of at least 90 electrons"):
        combine_sky(skies / 30, none, read_noise=9.0, n_sigma=3.5)


def test_one_copy_of_the_exposures_is_made_and_no_more() -> None:
    skies, _ = _night(24)
    none = np.zeros(SHAPE, dtype=bool)
    peak = measure_peak(partial(combine_sky, bad=none, read_noise=9.0, n_sigma=3.5), skies)
    assert peak < 2.5 * skies.nbytes
