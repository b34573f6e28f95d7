from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.image.mask import MaskPlane
from lsstpipe.measure.signature_truth import (
    amplifier_steps,
    brighter_fatter_removal,
    calibration_errors,
    crosstalk_matrix_residual,
    crosstalk_pattern,
    crosstalk_residual,
    linearity_residual,
    mask_recall,
    replacement_flags,
    sky_noise,
    sky_structure,
)

SHAPE = (512, 512)
SKY = 1000.0
SIGMA = 32.0
AMPLIFIERS = [Box(0, 0, 512, 256), Box(0, 256, 512, 256)]
ALL = np.ones(SHAPE, bool)
VARIANCE = np.full(SHAPE, SIGMA**2, np.float32)


@pytest.fixture
def noise(rng: np.random.Generator) -> np.ndarray:
    return (SIGMA * rng.standard_normal(SHAPE)).astype(np.float32)


def test_an_even_sky_has_no_step_and_one_that_was_put_in_is_found(noise: np.ndarray) -> None:
    assert amplifier_steps(noise, ALL, AMPLIFIERS, sky_electron=SKY).ok is not False
    bright = 20.0 * SKY
    assert amplifier_steps(noise, ALL, AMPLIFIERS, sky_electron=bright).ok is True
    noise[:, 256:] += 0.005 * bright
    found = amplifier_steps(noise, ALL, AMPLIFIERS, sky_electron=bright)
    assert found.value == pytest.approx(0.5, abs=4 * found.error)
    assert found.ok is False


def test_a_seam_above_is_a_seam_too(noise: np.ndarray) -> None:
    halves = [Box(0, 0, 256, 512), Box(256, 0, 256, 512)]
    noise[:256] += 20.0
    found = amplifier_steps(noise, ALL, halves, sky_electron=SKY)
    assert found.value == pytest.approx(2.0, abs=4 * found.error)


def test_noise_as_predicted_passes_and_a_wrong_gain_of_one_amplifier_fails(
    noise: np.ndarray,
) -> None:
    assert sky_noise(noise, VARIANCE, ALL, AMPLIFIERS).ok is True
    noise[:, 256:] *= 1.05
    found = sky_noise(noise, VARIANCE, ALL, AMPLIFIERS)
    assert found.value == pytest.approx(1.05, abs=0.01)
    assert found.ok is False


def test_a_few_wild_pixels_show_in_the_note_beside_the_width_of_the_rest(
    noise: np.ndarray,
) -> None:
    noise[100, 100:104] = -60.0 * SIGMA
    found = sky_noise(noise, VARIANCE, ALL, AMPLIFIERS)
    assert found.ok is False
    assert "1.00" in found.note
    assert found.note.endswith("4 pixels beyond 6 sigma.")


def test_masked_pixels_do_not_count_in_the_noise(noise: np.ndarray) -> None:
    usable = ALL.copy()
    usable[100:110] = False
    noise[100:110] = 1e5
    assert sky_noise(noise, VARIANCE, usable, AMPLIFIERS).ok is True
    assert sky_structure(noise, VARIANCE, usable, sky_electron=SKY).ok is True


def test_structure_of_the_flat_that_is_left_fails(
    noise: np.ndarray, rng: np.random.Generator
) -> None:
    assert sky_structure(noise, VARIANCE, ALL, sky_electron=SKY).ok is True
    relative = 0.01 * rng.standard_normal((8, 8))
    noise += np.float32(SKY) * np.kron(relative, np.ones((64, 64))).astype(np.float32)
    found = sky_structure(noise, VARIANCE, ALL, sky_electron=SKY)
    assert found.value == pytest.approx(100 * relative.std(ddof=1), rel=0.02)
    assert found.ok is False


def test_a_single_missed_saturated_pixel_fails() -> None:
    saturated, defective = np.zeros((2, *SHAPE), bool)
    saturated[10:20, 10:20] = True
    defective[:, 300] = True
    mask = np.zeros(SHAPE, np.int32)
    mask[saturated] |= np.int32(MaskPlane.SAT)
    mask[defective] |= np.int32(MaskPlane.BAD)
    assert mask_recall(mask, saturated, defective).ok is True
    mask[15, 15] = 0
    found = mask_recall(mask, saturated, defective)
    assert found.ok is False
    assert found.note == "Missed: 1 of 100 saturated pixels, 0 of 512 defects."
    assert mask_recall(mask, np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)).ok is None


def test_a_replaced_pixel_that_does_not_say_so_fails() -> None:
    replaced = np.zeros(SHAPE, bool)
    replaced[5, :] = True
    mask = np.where(replaced, np.int32(MaskPlane.INTRP), np.int32(0))
    assert replacement_flags(mask, replaced).ok is True
    mask[5, 7] = np.int32(MaskPlane.BAD)
    assert replacement_flags(mask, replaced).ok is False


def test_coefficients_that_are_left_are_measured_as_a_share_of_what_was_put_in() -> None:
    true = np.array([[0.0, 1e-4], [-1e-4, 0.0]])
    found = [0.9 * true, np.array([[0.0, 1e-4], [-0.8e-4, 0.0]])]
    errors = [np.full((2, 2), 0.05e-4)] * 2
    made = crosstalk_matrix_residual(found, errors, [true, true])
    # Of four pairs two are off by 1e-5 and one by 2e-5.
    assert made.value == pytest.approx(100 * np.sqrt(6 / 4) * 0.1)
    assert made.n == 4
    assert "5.0 % by the errors" in made.note
    assert made.ok is False
    assert crosstalk_matrix_residual([true], errors[:1], [true]).ok is True
    assert crosstalk_matrix_residual([0 * true], errors[:1], [true]).value == pytest.approx(100.0)
    assert crosstalk_matrix_residual([0 * true], errors[:1], [0 * true]).ok is None
    assert (
        crosstalk_matrix_residual([np.zeros((1, 1))], [np.zeros((1, 1))], [np.zeros((1, 1))]).ok
        is None
    )


def test_crosstalk_that_is_left_is_measured_as_a_share_of_what_was_put_in(
    rng: np.random.Generator,
) -> None:
    injected = 1e-4 * rng.uniform(1e4, 6e5, 20_000)
    variance = np.full(20_000, SIGMA**2)
    noise = SIGMA * rng.standard_normal(20_000)
    row = np.arange(20_000)
    clean = crosstalk_residual(noise, variance, injected, row)
    assert clean.ok is True
    half = crosstalk_residual(noise + 0.5 * injected, variance, injected, row)
    assert half.value == pytest.approx(50.0, abs=4 * half.error)
    assert half.ok is False
    assert crosstalk_residual(noise, variance, np.zeros(20_000), row).ok is None


def test_the_error_of_crosstalk_counts_what_the_pixels_of_a_row_share(
    rng: np.random.Generator,
) -> None:
    injected, row = np.full(4000, 5.0), np.repeat(np.arange(40), 100)
    variance = np.full(4000, SIGMA**2)
    found = [
        crosstalk_residual(
            SIGMA * rng.standard_normal(4000) + 8.0 * rng.standard_normal(40)[row],
            variance, injected, row,
        )
        for _ in range(60)
    ]  # fmt: skip
    true = 100.0 * float(np.hypot(SIGMA / np.sqrt(4000), 8.0 / np.sqrt(40))) / 5.0
    assert np.median([metric.error for metric in found]) == pytest.approx(true, rel=0.15)


def test_a_quadratic_nonlinearity_is_found_at_the_bright_end(rng: np.random.Generator) -> None:
    peak = rng.uniform(1e3, 1.2e5, 400)
    true = 20.0 * peak
    measured = true * (1.0 + 0.001 * rng.standard_normal(400))
    assert linearity_residual(measured, true, peak, full_well=1.3e5).ok is True
    bent = measured * (1.0 - 1e-7 * peak)
    found = linearity_residual(bent, true, peak, full_well=1.3e5)
    # The brightest of eight levels lies 4.9e4 electrons above the middle one.
    assert found.value == pytest.approx(1085.7 * 1e-7 * 5.1e4, rel=0.15)
    assert found.ok is False
    assert linearity_residual(bent[:5], true[:5], peak[:5], full_well=1.3e5).ok is None


@pytest.mark.parametrize(("left", "expected"), [(0.05, True), (0.5, False)])
def test_the_growth_of_stars_with_flux_must_be_removed(
    rng: np.random.Generator, left: float, expected: bool
) -> None:
    flux, slope = rng.uniform(0.0, 1.0, 600), 0.02
    error = np.full(600, 0.003)
    size = left * slope * flux + 0.003 * rng.standard_normal(600)
    found = brighter_fatter_removal(flux, size, error, true_slope=slope)
    assert found.value == pytest.approx(100 * (1 - left), abs=4 * found.error)
    assert found.ok is expected


@pytest.mark.parametrize(
    ("kind", "level", "error"), [("bias", 0.0, 0.3), ("dark", 2.0, 0.1), ("flat", 1.0, 0.002)]
)
def test_a_master_frame_that_is_off_fails(
    kind: str, level: float, error: float, rng: np.random.Generator
) -> None:
    truth = (level + 0.01 * rng.standard_normal(SHAPE)).astype(np.float32)
    noise = (0.005 * rng.standard_normal(SHAPE)).astype(np.float32)
    assert calibration_errors(kind, truth + noise, truth, ALL).ok is True
    tilted = truth + noise
    tilted[:256] += error
    tilted[256:] -= error
    found = calibration_errors(kind, tilted, truth, ALL)
    assert found.ok is False
    unit = {"bias": 1.0, "dark": 100.0 / level if level else 0.0, "flat": 100.0}[kind]
    assert found.value == pytest.approx(unit * error, rel=0.02)


def test_a_bright_pixel_talks_into_the_pixel_that_is_read_with_it() -> None:
    halves = (Box(0, 0, 6, 5), Box(0, 5, 6, 5))
    left, right = (
        Amplifier(name, box, box, 1.0, 5.0, 6e4, 5e4, flip_x=flip)
        for name, box, flip in zip("LR", halves, (False, True), strict=True)
    )
    detector = Detector(0, "0", 6, 10, (left, right), 6, 10)
    image = np.zeros((6, 10), np.float32)
    image[2, 1] = 1e5  # column 1 of the left is read with column 9 - 1 of the right
    found = crosstalk_pattern(image, detector, np.array([[0.0, 2e-4], [1e-4, 0.0]]))
    assert found[2, 8] == pytest.approx(10.0)
    assert np.count_nonzero(found) == 1
