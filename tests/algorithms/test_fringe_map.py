"""Fringes from simulated dithered exposures."""

import numpy as np
import pytest

from lsstpipe.algorithms.fringe_map import map_fringes
from lsstpipe.errors import AlgorithmError

SHAPE = (256, 300)


def make_skies(
    n: int = 9, strength: float = 0.01, period_pix: float = 31.4
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    pattern = np.sqrt(2) * np.sin((x + 20 * np.sin(y / 60)) * 2 * np.pi / period_pix)
    skies = []
    for i in range(n):
        image = 3000 * (1 + 0.2 * np.cos(i)) * (1 + strength * pattern) * (1 + 0.01 * i * y / 2560)
        for _ in range(25):
            sy, sx, flux = rng.uniform(0, 256), rng.uniform(0, 300), 10 ** rng.uniform(3.5, 5.5)
            image += flux / (2 * np.pi * 4) * np.exp(-((y - sy) ** 2 + (x - sx) ** 2) / 8)
        skies.append(rng.poisson(image) + rng.normal(0, 5, SHAPE))
    return np.array(skies, dtype=np.float32), pattern


def test_the_pattern_is_the_true_one_of_mean_0_and_amplitude_1() -> None:
    skies, truth = make_skies()
    made = map_fringes(skies, np.zeros(skies.shape, bool), read_noise=5.0, n_sigma=3.5)
    assert abs(made.image.mean()) < 1e-4
    assert made.image.std() == pytest.approx(1.0, abs=1e-3)
    assert made.strength == pytest.approx(0.01, rel=0.1)
    # What is left of the fringes after the subtraction of the best multiple of the map.
    share = np.sum(made.image * truth) / np.sum(truth**2)
    assert np.std(made.image / share - truth) < 0.35


def test_a_sky_without_fringes_or_four_exposures_are_refused() -> None:
    skies, _ = make_skies(4)
    with pytest.raises(AlgorithmError, match="at least 5 exposures, got 4"):
        map_fringes(skies, np.zeros(skies.shape, bool), read_noise=5.0, n_sigma=3.5)
    skies, _ = make_skies(strength=0.0)
    with pytest.raises(AlgorithmError, match="do not stand out"):
        map_fringes(skies, np.zeros(skies.shape, bool), read_noise=5.0, n_sigma=3.5)


def test_the_noise_of_a_frame_that_the_map_is_made_of_is_not_in_the_map() -> None:
    """Or the frame would lose a part of it when the map is subtracted."""
    skies, truth = make_skies(5, period_pix=90.0)
    # More noise than photons have, as of sources too faint to be seen.
    extra = np.random.default_rng(3).normal(0, 30, SHAPE).astype(np.float32)
    skies[2] += extra
    skies[0] += np.random.default_rng(4).normal(0, 30, SHAPE)
    made = map_fringes(skies, np.zeros(skies.shape, bool), read_noise=5.0, n_sigma=3.5)
    error = made.image - truth * np.sum(made.image * truth) / np.sum(truth**2)
    electrons = made.strength * 3000 * (1 + 0.2 * np.cos(2)) * error
    share = float(np.sum(electrons * extra) / np.sum(extra.astype(float) ** 2))
    assert abs(share) < 0.01
