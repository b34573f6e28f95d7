"""The brighter-fatter effect, made by letting charge push charge while it is collected."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from lsstpipe.algorithms._brighter_fatter_kernel import add_displaced
from lsstpipe.algorithms.brighter_fatter import BrighterFatterKernel, correct_brighter_fatter
from lsstpipe.errors import AlgorithmError
from lsstpipe.io.json import read_json, write_json

FloatArray = npt.NDArray[np.float64]

SHAPE = (64, 72)
PEAKS = (2e3, 2e4, 1e5)


def make_kernel() -> BrighterFatterKernel:
    """Fall with distance as the potential of a charge above a grounded plate."""
    y, x = np.mgrid[-8:9, -8:9]
    return BrighterFatterKernel(-1.5e-6 / (1 + 2.0 * (y * y + x * x)))


def star(peak: float, *, sigma: float = 2.0) -> FloatArray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return peak * np.exp(-((y - 31.3) ** 2 + (x - 35.6) ** 2) / (2 * sigma**2)) + 200.0


def collect(light: FloatArray, kernel: FloatArray, *, n_steps: int = 60) -> FloatArray:
    """Collect light step by step; what arrives in each is moved by the charge that is there."""
    charge = np.zeros(light.shape)
    step = light / n_steps
    for _ in range(n_steps):
        potential = ndimage.convolve(charge + step * 0.5, kernel, mode="nearest")
        for axis in (0, 1):
            move = np.diff(potential, axis=axis) * ndimage.uniform_filter1d(
                step, 2, axis=axis, origin=0, mode="nearest"
            ).take(range(1, light.shape[axis]), axis=axis)
            pad = [(0, 0), (0, 0)]
            pad[axis] = (1, 1)
            charge -= np.diff(np.pad(move, pad), axis=axis)
        charge += step
    return charge


def width(image: FloatArray) -> float:
    """Second moment of a star, weighted by a Gaussian so that noise and edges do not matter."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    r2 = (y - 31.3) ** 2 + (x - 35.6) ** 2
    weight = (image - np.median(image)) * np.exp(-r2 / (2 * 4.0**2))
    return float(np.sqrt((weight * r2).sum() / weight.sum() / 2))


def correct(image: FloatArray, hole: npt.NDArray[np.bool_] | None = None) -> FloatArray:
    hole = np.zeros(SHAPE, dtype=bool) if hole is None else hole
    made = correct_brighter_fatter(
        image.astype(np.float32), hole, make_kernel(), tolerance=0.5, max_iterations=10
    )
    return made.image.astype(np.float64)


def test_bright_stars_are_as_wide_as_faint_ones_again() -> None:
    kernel = make_kernel().kernel
    seen = [collect(star(peak), kernel) for peak in PEAKS]
    slope = width(seen[-1]) / width(seen[0]) - 1
    left = width(correct(seen[-1])) / width(correct(seen[0])) - 1
    assert slope > 0.01
    assert abs(left) < 0.05 * slope


def test_the_charge_of_the_image_stays_the_same() -> None:
    seen = collect(star(PEAKS[-1]), make_kernel().kernel)
    assert seen.sum() == pytest.approx(star(PEAKS[-1]).sum(), rel=1e-12)
    assert correct(seen).sum() == pytest.approx(seen.sum(), rel=1e-7)


def test_a_flat_image_stays_flat() -> None:
    flat = np.full(SHAPE, 3e4)
    np.testing.assert_allclose(correct(flat), flat, rtol=1e-6)


def test_the_covariance_of_a_flat_is_minus_the_laplacian_of_the_kernel(
    rng: np.random.Generator,
) -> None:
    kernel = make_kernel().kernel
    mean = 5e4
    flats = rng.normal(mean, np.sqrt(mean), (100, *SHAPE))
    inner = np.array([collect(f, kernel, n_steps=1) for f in flats])[:, 12:-12, 12:-12] - mean
    scatter = mean / np.sqrt(inner.size)
    laplacian = ndimage.laplace(kernel)
    expected = -(mean**2) * laplacian[8, 9]
    assert expected > 5 * scatter
    assert (inner[:, :, :-1] * inner[:, :, 1:]).mean() == pytest.approx(expected, abs=4 * scatter)
    lack = mean**2 * laplacian[8, 8]
    assert mean - inner.var() == pytest.approx(lack, abs=0.15 * lack)


def test_a_hole_keeps_its_value_and_does_not_spoil_its_surroundings() -> None:
    seen = collect(star(PEAKS[1]), make_kernel().kernel)
    hole = np.zeros(SHAPE, dtype=bool)
    hole[28:31, 33:36] = True
    broken = np.where(hole, 1e9, seen)
    made = correct(broken, hole)
    np.testing.assert_array_equal(made[hole], np.float32(1e9))
    np.testing.assert_allclose(made[~hole], correct(seen)[~hole], atol=0.003 * PEAKS[1])


def test_an_iteration_without_an_end_is_an_algorithm_error() -> None:
    seen = star(1e5).astype(np.float32)
    hole = np.zeros(SHAPE, dtype=bool)
    strong = BrighterFatterKernel(make_kernel().kernel * 100)
    with pytest.raises(AlgorithmError, match=r"still changes by .* after 5 iterations"):
        correct_brighter_fatter(seen, hole, strong, tolerance=0.5, max_iterations=5)


def test_a_kernel_is_the_same_after_json_and_has_a_middle() -> None:
    made = make_kernel()
    again = BrighterFatterKernel.from_json_dict(read_json(write_json(made.to_json_dict()), "bfk"))
    np.testing.assert_array_equal(again.kernel, made.kernel)
    with pytest.raises(ValueError, match="odd sides"):
        BrighterFatterKernel(np.zeros((4, 4)))


@pytest.mark.parametrize("size", [1, 5, 11, 13])
def test_one_iteration_moves_charge_down_the_slope_of_the_potential(size: int) -> None:
    rng = np.random.default_rng(size)
    measured, image = rng.uniform(100.0, 5000.0, (2, *SHAPE)).astype(np.float32)
    kernel = (1e-5 * rng.standard_normal((size, size))).astype(np.float32)
    before = image.astype(float)
    potential = ndimage.convolve(before - 1000, kernel.astype(float), mode="constant")
    expected = measured.astype(float)
    for axis in (0, 1):
        middle = 0.5 * (before + np.roll(before, -1, axis))
        flow = 0.5 * middle.take(range(SHAPE[axis] - 1), axis) * np.diff(potential, axis=axis)
        pad = [(0, 0), (0, 0)]
        pad[axis] = (1, 1)
        expected += np.diff(np.pad(flow, pad), axis=axis)
    change = add_displaced(measured, image, kernel, np.float32(1000))
    assert np.abs(image - expected).max() < 1e-6 * np.abs(expected).max()
    assert change == pytest.approx(np.abs(expected - before).max(), rel=1e-6)
