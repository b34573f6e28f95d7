"""The kernel of simulated flats with a known brighter-fatter effect."""

import numpy as np
import pytest
from scipy import fft

from lsstpipe.algorithms.brighter_fatter import BrighterFatterKernel, correct_brighter_fatter
from lsstpipe.algorithms.brighter_fatter_fit import average_pushes, leave_push, solve_kernel
from lsstpipe.algorithms.flat_pairs import measure_covariances
from lsstpipe.errors import AlgorithmError

LEVEL = 60000.0
SHAPE = (512, 512)
HALF = 4


def true_kernel() -> np.ndarray:
    """A potential that falls off around a charge; stronger along y, as of parallel clocks."""
    y, x = np.mgrid[-HALF : HALF + 1, -HALF : HALF + 1]
    return -1.2e-6 * np.exp(-np.sqrt(0.8 * y**2 + x**2) / 0.8)


def laplacian(kernel: np.ndarray) -> np.ndarray:
    wide = np.pad(kernel, 1)
    rows = wide[2:, 1:-1] + wide[:-2, 1:-1]
    return rows + wide[1:-1, 2:] + wide[1:-1, :-2] - 4 * kernel


def spread(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Move charge across the borders of pixels by the field of all others."""
    padded = np.zeros(image.shape)
    padded[: len(kernel), : len(kernel)] = kernel
    padded = np.roll(padded, (-HALF, -HALF), axis=(0, 1))
    potential = fft.irfft2(fft.rfft2(image) * fft.rfft2(padded), s=image.shape)
    result = image.copy()
    for axis in (0, 1):
        step = np.roll(potential, -1, axis) - potential
        moved = 0.25 * (image + np.roll(image, -1, axis)) * step
        result -= moved - np.roll(moved, 1, axis)
    return result


def make_pair(rng: np.random.Generator, level: float) -> tuple[np.ndarray, np.ndarray]:
    first, second = (
        spread(rng.poisson(level, SHAPE).astype(float), true_kernel()).astype(np.float32)
        for _ in range(2)
    )
    return first, second


def measure(
    rng: np.random.Generator, levels: list[float], gain_error: float = 1e-3
) -> tuple[np.ndarray, ...]:
    """Levels, covariances beyond photons and errors of pairs of flats."""
    found = []
    for wanted in levels:
        level, *spread = measure_covariances(*make_pair(rng, wanted), max_lag=HALF)
        left = leave_push(level, *spread, read_noise=0.0, gain_error=gain_error)
        found.append((level, *left))
    return tuple(np.array(values) for values in zip(*found, strict=True))


def test_poisson_s_equation_is_solved() -> None:
    kernel = true_kernel()
    push = -laplacian(kernel)[HALF:, HALF:]
    np.testing.assert_allclose(solve_kernel(push), kernel, atol=1e-18)


def test_flats_give_the_kernel_back() -> None:
    rng = np.random.default_rng(3)
    measured = measure(rng, [LEVEL, LEVEL, LEVEL, 0.6 * LEVEL])
    push, error = average_pushes(*measured, min_significance=4)
    truth = -laplacian(true_kernel())[HALF:, HALF:]
    assert np.abs((push - truth) / error)[0, 1] < 4
    assert np.abs((push - truth) / error)[1, 0] < 4
    kernel = solve_kernel(push)
    # The field next to the charge is what makes bright stars wide.
    step = kernel[HALF, HALF + 1] - kernel[HALF, HALF]
    true_step = true_kernel()[HALF, HALF + 1] - true_kernel()[HALF, HALF]
    assert step == pytest.approx(true_step, rel=0.1)
    np.testing.assert_array_equal(kernel, kernel[::-1])
    np.testing.assert_array_equal(kernel, kernel[:, ::-1])
    times = np.full(push.shape, 4.0)
    times[0], times[:, 0], times[0, 0] = 2, 2, 1
    assert abs(np.sum(times * push)) < 1e-18


def width_slope(images: list[np.ndarray], peaks: list[float]) -> float:
    """Fit the growth of the second moment of a star with its peak, pixel**2 per electron."""
    y, x = np.mgrid[:41, :41] - 20.0
    window = np.exp(-(y**2 + x**2) / 2 / 3.0**2)
    moments = [float(np.sum(i * window * (y**2 + x**2)) / np.sum(i * window)) for i in images]
    return float(np.polyfit(peaks, moments, 1)[0])


def test_the_kernel_of_flats_takes_the_growth_of_bright_stars_away() -> None:
    """By four fifths at least: what the kernel is for."""
    rng = np.random.default_rng(6)
    push, _ = average_pushes(*measure(rng, 6 * [LEVEL]), min_significance=4)
    kernel = BrighterFatterKernel(solve_kernel(push))
    y, x = np.mgrid[:41, :41] - 20.0
    peaks = [5000.0, 20000.0, 40000.0, 60000.0, 80000.0]
    stars = [peak * np.exp(-(y**2 + x**2) / 2 / 1.8**2) for peak in peaks]
    seen = [spread(star, true_kernel()).astype(np.float32) for star in stars]
    mended = [
        correct_brighter_fatter(
            star, np.zeros(star.shape, bool), kernel, tolerance=0.1, max_iterations=20
        ).image
        for star in seen
    ]
    before = width_slope(seen, peaks)
    assert before > 3e-7
    assert abs(width_slope(mended, peaks)) < 0.2 * before


def test_flats_without_the_effect_are_refused() -> None:
    rng = np.random.default_rng(4)
    pair = rng.poisson(LEVEL, (2, 200, 200)).astype(np.float32)
    level, covariance, error = measure_covariances(pair[0], pair[1], max_lag=2)
    with pytest.raises(AlgorithmError, match="times its error"):
        average_pushes(np.array([level]), covariance[None], error[None], min_significance=4)


@pytest.mark.parametrize("gain_error", [1e-3, 10.0])
def test_the_middle_is_told_by_the_variance_or_by_all_others(gain_error: float) -> None:
    rng = np.random.default_rng(7)
    truth = -laplacian(true_kernel())[HALF:, HALF:]
    push, error = average_pushes(*measure(rng, 3 * [LEVEL], gain_error), min_significance=4)
    # Sums of 16 and 8 far pushes have four and two times the error that is seen four and two times.
    of_sum = float(np.sqrt(16 * np.sum(error[1:, 1:] ** 2) + 8 * np.sum(error[1:, 0] ** 2)))
    allowed = 4 * min(float(error[0, 0]), of_sum)
    assert push[0, 0] == pytest.approx(truth[0, 0], abs=allowed)
    assert (of_sum < error[0, 0]) == (gain_error > 1)
