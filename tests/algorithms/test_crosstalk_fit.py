"""Coefficients of simulated crosstalk between four amplifiers with stars."""

import numpy as np
import pytest

from lsstpipe.algorithms.crosstalk_fit import find_bright, fit_crosstalk

TRUTH = np.array(
    [[0, 1.0, 3.0, 2.0], [1.5, 0, -2.0, 1.0], [3.0, 0.1, 0, 4.0], [0.8, 2.0, 1.0, 0]]
) * 1e-4  # fmt: skip
SHAPE = (256, 256)
FULL_WELL = 90000.0


def make_exposure(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Amplifiers with stars of their own in each, ghosts of all others, and saturated cores."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = np.full((4, *SHAPE), 100.0)
    for image in light:
        for _ in range(60):
            sy, sx, flux = rng.uniform(0, 256), rng.uniform(0, 256), 10 ** rng.uniform(4, 6.3)
            r2 = (y - sy) ** 2 + (x - sx) ** 2
            image += flux / (2 * np.pi * 2.0**2) * np.exp(-r2 / 2 / 2.0**2)
    good = light < FULL_WELL
    signal = np.minimum(rng.poisson(light), FULL_WELL)
    cube = signal + np.tensordot(TRUTH, signal, axes=1) + rng.normal(0, 5, signal.shape)
    return cube.astype(np.float32), good


def test_coefficients_are_the_truth_to_ten_percent_or_their_error() -> None:
    rng = np.random.default_rng(8)
    exposures = [find_bright(*make_exposure(rng), threshold=6000) for _ in range(16)]
    fit = fit_crosstalk(exposures, threshold=6000, min_pixels=200)
    off = fit.coefficients - TRUTH
    apart = ~np.eye(4, dtype=bool)
    assert fit.errors[apart].max() < 1e-5
    assert np.abs(off[apart] / fit.errors[apart]).max() < 4
    strong = apart & (np.abs(TRUTH) >= 1.5e-4)
    assert np.abs(off[strong] / TRUTH[strong]).max() < 0.1
    assert not np.diag(fit.coefficients).any()


def test_an_amplifier_without_bright_pixels_has_no_coefficient() -> None:
    rng = np.random.default_rng(9)
    cube, good = make_exposure(rng)
    cube[2] = 100 + rng.normal(0, 11, SHAPE)
    exposure = find_bright(cube, good, threshold=6000)
    fit = fit_crosstalk([exposure], threshold=6000, min_pixels=20)
    assert fit.n_pixels[2] == 0
    assert not fit.coefficients[:, 2].any()
    assert fit.coefficients[2, 3] == pytest.approx(0.0, abs=4 * fit.errors[2, 3])


def make_spots(rng: np.random.Generator, row_noise: float) -> np.ndarray:
    """Spots whose rows light one amplifier after the other, on rows of uncertain bias level."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = np.full((4, *SHAPE), 0.2)
    for i, image in enumerate(light):
        for sx in (32, 96, 160, 224):
            r2 = (y - 32 - 64 * i) ** 2 + (x - sx) ** 2
            image += 70000 * np.exp(-r2 / 2 / 6.0**2)
    signal = rng.poisson(light)
    cube = signal + np.tensordot(TRUTH, signal, axes=1) + rng.normal(0, 5, signal.shape)
    return (cube + rng.normal(0, row_noise, (4, SHAPE[0], 1))).astype(np.float32)


def test_spots_tell_coefficients_to_the_error_that_is_stated() -> None:
    rng = np.random.default_rng(10)
    good = np.ones((4, *SHAPE), dtype=bool)
    apart = ~np.eye(4, dtype=bool)
    pulls = []
    for _ in range(20):
        exposure = find_bright(make_spots(rng, 1.2), good, threshold=1000)
        fit = fit_crosstalk([exposure], threshold=1000, min_pixels=300)
        pulls.append(((fit.coefficients - TRUTH) / np.where(apart, fit.errors, 1))[apart])
    assert np.std(pulls) == pytest.approx(1.0, abs=0.2)
    assert np.mean(pulls) == pytest.approx(0.0, abs=4 / np.sqrt(np.size(pulls)))
