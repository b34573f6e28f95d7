"""Bias levels and noise from the overscan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from astropy.io import fits

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


def test_averaging_rows_follows_a_slope_and_leaves_the_noise_of_a_row_as_it_is(
    rng: np.random.Generator,
) -> None:
    slope = np.linspace(0, 50, 120)[:, None]
    frame = (rng.normal(1000, 5, (120, 120)) + slope).astype(np.float32)
    made = [
        measure_overscan(frame, make_amplifier(Box(5, 90, 100, 24)), skip=(3, 1), n_rows=n)
        for n in (1, 11)
    ]
    error = [(m.row_level - 1000 - slope[5:105, 0])[6:-6].std() for m in made]
    assert error[1] < 0.5 * error[0]
    assert made[0].noise_adu == made[1].noise_adu


@pytest.fixture(scope="module")
def real_biases(test_data: Path) -> list[npt.NDArray[np.float32]]:
    """Ten biases of a night with the Nickel telescope."""
    frames = []
    for number in range(1001, 1011):
        with fits.open(test_data / "nickel_raw" / f"d{number}.fits.fz") as hdus:
            frames.append(np.asarray(next(h.data for h in hdus if h.data is not None), np.float32))
    return frames


NICKEL_BOX = Box(0, 0, 1024, 1024)
NICKEL = Amplifier("1", NICKEL_BOX, NICKEL_BOX, 1.78, 9.0, 6e4, 5e4, Box(0, 1024, 1024, 32))


def test_the_noise_of_a_real_camera_is_the_known_one(
    real_biases: list[npt.NDArray[np.float32]],
) -> None:
    noise = [measure_overscan(frame, NICKEL, skip=(3, 1)).noise_adu for frame in real_biases]
    assert np.median(noise) == pytest.approx(4.6, abs=0.1)


def test_averaging_rows_takes_away_noise_that_only_the_overscan_of_a_real_camera_has(
    real_biases: list[npt.NDArray[np.float32]],
) -> None:
    left = []
    for n_rows in (1, 21):
        rows = []
        for frame in real_biases:
            made = measure_overscan(frame, NICKEL, skip=(3, 1), n_rows=n_rows)
            image = frame[:, :1024] - made.row_level[:, None]
            image[np.abs(image - np.median(image)) > 25] = np.nan  # rays
            rows.append(np.nanmean(image, axis=1))
        left.append((np.array(rows) - np.mean(rows, axis=0)).std())
    assert left[0] > 1.6
    assert left[1] < 1.0
