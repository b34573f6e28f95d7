from __future__ import annotations

import numpy as np
import pytest

from lsstpipe.geometry.box import Box
from lsstpipe.image.mask import MaskPlane
from lsstpipe.measure.signature_truth import (
    amplifier_steps,
    brighter_fatter_removal,
    calibration_errors,
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
