"""Bias levels and noise from the overscan."""

from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.algorithms.overscan import measure_overscan
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import Amplifier

DATA = Box(5, 30, 100, 60)


def make_amplifier(serial: Box | None, parallel: Box | None = None) -> Amplifier:
    box = Box(0, 0, DATA.ny, DATA.nx)
    return Amplifier("1", box, DATA, 1.0, 5.0, 6e4, 5e4, serial, parallel)


@pytest.mark.parametrize(
    ("serial", "kept"), [(Box(5, 90, 100, 24), slice(93, 113)), (Box(5, 6, 100, 24), slice(7, 27))]
)
def test_the_level_of_a_row_is_the_median_of_its_overscan_without_what_is_read_first_and_last(
    rng: np.random.Generator, serial: Box, kept: slice
) -> None:
    frame = rng.normal(1000, 5, (120, 120)).astype(np.float32)
    frame[5:105, 30:90] += 5000
    made = measure_overscan(frame, make_amplifier(serial), skip=(3, 1), with_parallel=False)
    np.testing.assert_array_equal(made.row_level, np.median(frame[5:105, kept], axis=1))
    assert made.column_level is None


@pytest.mark.parametrize("n_columns", [8, 16, 32, 64])
def test_the_noise_is_the_true_one_although_the_level_took_its_share_and_a_ray_hit(
    rng: np.random.Generator, n_columns: int
) -> None:
    frame = rng.normal(1000, 5, (5000, 30 + n_columns)).astype(np.float32)
    frame[40:45, 32] += 3000.0
    box = Box(0, 0, 5000, 30)
    amplifier = Amplifier("1", box, box, 1.0, 5.0, 6e4, 5e4, Box(0, 30, 5000, n_columns))
    made = measure_overscan(frame, amplifier, skip=(0, 0), with_parallel=False)
    assert made.noise_adu == pytest.approx(5.0, rel=0.02)


def test_columns_that_charge_has_bled_into_are_left_as_they_are(rng: np.random.Generator) -> None:
    frame = rng.normal(1000, 5, (120, 120)).astype(np.float32)
    pattern = 10 * np.sin(np.arange(60))
    frame[105:115, 30:90] += pattern.astype(np.float32)
    frame[105:115, 50] += 20000
    amplifier = make_amplifier(Box(5, 90, 100, 24), Box(105, 30, 10, 60))
    made = measure_overscan(frame, amplifier, skip=(1, 1), with_parallel=True)
    assert made.column_level is not None
    assert made.column_level[20] == 0
    residual = np.delete(made.column_level - pattern, 20)
    assert residual.std() < 3.5


def test_without_overscan_the_level_is_zero_and_the_noise_unknown() -> None:
    frame = np.ones((120, 120), np.float32)
    made = measure_overscan(frame, make_amplifier(None), skip=(3, 1), with_parallel=True)
    assert not made.row_level.any()
    assert np.isnan(made.noise_adu)


def test_an_overscan_that_is_left_out_altogether_is_an_algorithm_error() -> None:
    frame = np.ones((120, 120), np.float32)
    with pytest.raises(AlgorithmError, match="has 4 columns, of which 4 are to be left out"):
        measure_overscan(
            frame, make_amplifier(Box(5, 90, 100, 4)), skip=(3, 1), with_parallel=False
        )
