"""Charge in pixels against plain sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from lsstpipe.simulate._charge_kernel import add_tracks, bleed, convolve, displace
from lsstpipe.simulate.detector import brighter_fatter_kernel


def test_the_convolution_is_scipys(rng: np.random.Generator) -> None:
    image = rng.normal(1000, 100, (40, 30)).astype(np.float32)
    kernel = brighter_fatter_kernel()
    expected = ndimage.convolve(image.astype(float) - 1000, kernel, mode="constant")
    got = convolve(image, kernel.astype(np.float32), np.float32(1000))
    np.testing.assert_allclose(got, expected, atol=1e-9, rtol=1e-4)


def test_displaced_charge_is_the_divergence_of_the_flow_across_borders(
    rng: np.random.Generator,
) -> None:
    image = rng.uniform(0, 9e4, (20, 24)).astype(np.float32)
    potential = rng.normal(0, 0.01, (20, 24)).astype(np.float32)
    expected = image.astype(float)
    for axis in (0, 1):
        steps = np.diff(potential.astype(float), axis=axis)
        n = image.shape[axis]
        mean = image.take(range(n - 1), axis) + image.take(range(1, n), axis)
        flow = 0.25 * mean * steps
        pad = [(0, 0), (0, 0)]
        pad[axis] = (1, 1)
        expected -= np.diff(np.pad(flow, pad), axis=axis)
    moved = displace(image, potential)
    np.testing.assert_allclose(moved, expected, rtol=1e-4)
    assert moved.sum(dtype=float) == pytest.approx(image.sum(dtype=float), rel=1e-6)


def test_charge_above_the_full_well_flows_along_its_column_and_none_is_lost() -> None:
    image = np.full((41, 5), 100, np.float32)
    image[20, 2] = 7300
    before = image.sum(dtype=float)
    assert bleed(image, np.float32(1000)) == 1
    assert image.sum(dtype=float) == pytest.approx(before)
    # 6300 above the well: 3150 each way fill three pixels by 900 and half of the next.
    np.testing.assert_allclose(
        image[16:25, 2], [550, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 550]
    )
    assert (image[:, [0, 1, 3, 4]] == 100).all()


def test_charge_that_reaches_the_edge_is_lost() -> None:
    image = np.full((4, 1), 5000, np.float32)
    bleed(image, np.float32(1000))
    np.testing.assert_array_equal(image, 1000)


def test_a_track_leaves_its_charge_along_a_line() -> None:
    image = np.zeros((50, 50), np.float32)
    add_tracks(image, np.array([[10.0, 5.0, 0.0, 20.0, 800.0], [30.0, 45.0, 0.0, 40.0, 800.0]]))
    assert image[10, 5:26].sum() == pytest.approx(800)
    assert image[:20].sum() == pytest.approx(800)
    # The second leaves the detector after a tenth of its length.
    assert image[30].sum() == pytest.approx(800 * 4.5 / 40, rel=0.02)
