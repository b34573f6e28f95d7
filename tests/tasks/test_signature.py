"""The removal of the signature, on a small detector of which everything is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest

from lsstpipe.algorithms.brighter_fatter import BrighterFatterKernel, correct_brighter_fatter
from lsstpipe.algorithms.crosstalk import CrosstalkMatrix
from lsstpipe.algorithms.linearity import Linearizer
from lsstpipe.algorithms.photon_transfer import PhotonTransfer
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.tasks.signature import Signature, SignatureConfig, remove_signature
from tests.tasks.simulated_detector import (
    GAIN,
    HALF,
    NAMES,
    READ_NOISE,
    SATURATION_ADU,
    SHAPE,
    Electronics,
    FloatArray,
    calibration,
    in_read_order,
    make_detector,
    read_out,
)

LAYOUTS = ("frame", "rows")
QUADRANTS = tuple((slice(y, y + HALF), slice(x, x + HALF)) for y in (0, HALF) for x in (0, HALF))
CROSSTALK = np.array(
    [[0, 5e-4, 2e-4, -1e-4], [4e-4, 0, 1e-4, 2e-4], [2e-4, 1e-4, 0, 5e-4], [1e-4, 2e-4, 3e-4, 0]]
)
FULL_WELL = 90000.0
CONFIG = SignatureConfig()
PTC = PhotonTransfer(NAMES, GAIN, 0.01 * GAIN, READ_NOISE, np.full(4, np.nan))


@dataclass(frozen=True)
class Truth:
    """What is in the pixels of the detector."""

    response: FloatArray
    dark: FloatArray
    bias: FloatArray


@pytest.fixture(scope="module")
def truth() -> Truth:
    rng = np.random.default_rng(11)
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    response = (1 - 0.05 * (y**2 + x**2)) * rng.normal(1, 0.01, SHAPE)
    for quadrant, factor in zip(QUADRANTS, (1.03, 0.98, 1.0, 0.99), strict=True):
        response[quadrant] *= factor
    dark = rng.gamma(2.0, 15.0, SHAPE)
    dark[rng.uniform(size=SHAPE) < 1e-3] = 900.0
    return Truth(response / response.mean(), dark, rng.normal(0, 2, SHAPE))


def expose(
    light: FloatArray,
    truth: Truth,
    layout: str,
    *,
    chain: Electronics | None = None,
    seed: int = 5,
) -> Exposure:
    """Take an exposure with all of the signature and photon noise."""
    rng = np.random.default_rng(seed)
    charge = rng.poisson(light * truth.response + truth.dark) + truth.bias
    return read_out(charge, layout, rng, chain)


def known(truth: Truth) -> Signature:
    return Signature(
        bias=calibration(truth.bias),
        dark=calibration(2 * truth.dark, time_s=60.0),
        flat=calibration(truth.response),
        ptc=PTC,
    )


def uniform(level: float) -> FloatArray:
    return np.full(SHAPE, level)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_sky_has_no_step_between_amplifiers_and_the_noise_that_the_variance_says(
    truth: Truth, layout: str
) -> None:
    chain = Electronics(np.array([2e-7, 1e-7, 3e-7, 2e-7]), CROSSTALK)
    linearizer = Linearizer(NAMES, "quadratic", chain.nonlinearity[:, None], np.zeros((4, 0)))
    signature = replace(
        known(truth), crosstalk=CrosstalkMatrix(NAMES, CROSSTALK), linearizer=linearizer
    )
    sky = 3000.0
    raw = expose(uniform(sky), truth, layout, chain=chain)
    made = remove_signature(raw, make_detector(layout), signature, CONFIG)
    assert not made.mask.any()
    for quadrant in QUADRANTS:
        residual = made.image[quadrant] - sky
        assert abs(residual.mean()) < 1e-3 * sky
        assert (residual / np.sqrt(made.variance[quadrant])).std() == pytest.approx(1, abs=0.02)
    binned = made.image.reshape(4, 64, 4, 64).mean(axis=(1, 3))
    assert np.sqrt(binned.var() - made.variance.mean() / 64**2) < 3e-3 * sky
    assert made.unit == "electron"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_image_stands_as_it_was_projected(truth: Truth, layout: str) -> None:
    light = uniform(100.0)
    light[10:20, 30:35] = 5000.0
    light[200:203, 180:220] = 9000.0
    made = remove_signature(
        expose(light, truth, layout), make_detector(layout), known(truth), CONFIG
    )
    np.testing.assert_array_equal(made.image > 2500, light > 2500)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ghosts_go_to_a_tenth_of_themselves_in_every_amplifier(truth: Truth, layout: str) -> None:
    light = uniform(100.0)
    light[20:50, 70:100] = 80000.0
    chain = Electronics(crosstalk=CROSSTALK)
    raw = expose(light, truth, layout, chain=chain)
    signature = replace(known(truth), crosstalk=CrosstalkMatrix(NAMES, CROSSTALK))
    made = remove_signature(raw, make_detector(layout), signature, CONFIG)
    ghosts = ((20, 156), (206, 70), (206, 156))
    for (y, x), share in zip(ghosts, CROSSTALK[1:, 0], strict=True):
        ghost = (slice(y, y + 30), slice(x, x + 30))
        assert abs(made.image[ghost].mean() - 100.0) < 0.1 * share * 80000.0
        assert has(made.mask[ghost], MaskPlane.CROSSTALK).all()
    assert made.metadata["n_crosstalk_pixels"] == has(made.mask, MaskPlane.CROSSTALK).sum() == 2700


@pytest.mark.parametrize("layout", LAYOUTS)
def test_flux_is_linear_to_3_millimagnitudes_up_to_90_percent_of_full_well(
    truth: Truth, layout: str
) -> None:
    levels = np.geomspace(1500.0, 0.9 * FULL_WELL, 64).reshape(8, 8)
    light = np.kron(levels, np.ones((32, 32)))
    chain = Electronics(nonlinearity=np.array([1e-6, 5e-7, 8e-7, 1e-6]))
    raw = expose(light, truth, layout, chain=chain)
    linearizer = Linearizer(NAMES, "quadratic", chain.nonlinearity[:, None], np.zeros((4, 0)))
    signature = replace(known(truth), linearizer=linearizer)
    made = remove_signature(raw, make_detector(layout), signature, CONFIG)
    bent = remove_signature(raw, make_detector(layout), known(truth), CONFIG)
    ratio = (image_of(m) / levels for m in (made, bent))
    straight, crooked = (-2500 * np.log10(r) for r in ratio)
    assert np.abs(straight).max() < 3
    assert np.abs(crooked).max() > 30


def image_of(made: Exposure) -> FloatArray:
    """Average blocks of 32 pixels."""
    blocks: FloatArray = made.image.astype(np.float64).reshape(8, 32, 8, 32).mean(axis=(1, 3))
    return blocks


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_saturated_pixel_and_defect_is_flagged_where_it_is_and_no_other(
    truth: Truth, layout: str, rng: np.random.Generator
) -> None:
    full = rng.uniform(size=SHAPE) < 0.01
    bad = rng.uniform(size=SHAPE) < 0.01
    raw = expose(np.where(full, 2e5, 1000.0), truth, layout)
    defects = np.where(bad, 1, 0).astype(np.int32)
    signature = replace(known(truth), defects=defects)
    made = remove_signature(raw, make_detector(layout), signature, CONFIG)
    np.testing.assert_array_equal(has(made.mask, MaskPlane.SAT), full)
    np.testing.assert_array_equal(has(made.mask, MaskPlane.BAD), bad)
    assert made.metadata["n_saturated_pixels"] == full.sum()
    assert made.metadata["n_bad_pixels"] == bad.sum()


def break_constant(raw: Exposure, data: tuple[slice, slice]) -> None:
    raw.image[data] = 1021.0


def break_saturated(raw: Exposure, data: tuple[slice, slice]) -> None:
    raw.mask[data][: HALF // 2] |= MaskPlane.SAT


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("damage", "fault"),
    [(break_constant, "constant at 1021 ADU"), (break_saturated, "50% saturated")],
)
def test_a_broken_amplifier_is_bad_as_a_whole_and_the_others_go_on(
    truth: Truth, layout: str, damage: Callable[[Exposure, tuple[slice, slice]], None], fault: str
) -> None:
    detector = make_detector(layout)
    raw = expose(uniform(1000.0), truth, layout)
    whole = remove_signature(raw, detector, known(truth), CONFIG)
    damage(raw, detector.amplifiers[1].data.slices_in(detector.raw_box))
    made = remove_signature(raw, detector, known(truth), CONFIG)
    expected = np.zeros(SHAPE, dtype=bool)
    expected[QUADRANTS[1]] = True
    np.testing.assert_array_equal(has(made.mask, MaskPlane.BAD), expected)
    np.testing.assert_array_equal(made.image[~expected], whole.image[~expected])
    assert made.metadata["n_bad_amplifiers"] == 1
    assert made.metadata["bad_amplifiers"] == f"LR: {fault}"
    assert whole.metadata["n_bad_amplifiers"] == 0
    assert np.isfinite(made.image).all()


@pytest.mark.parametrize("noise", [0.0, 80.0])
def test_an_amplifier_without_noise_or_with_far_too_much_is_bad(truth: Truth, noise: float) -> None:
    chain = Electronics(noise=np.where(np.arange(4) == 2, noise, READ_NOISE))
    raw = expose(uniform(1000.0), truth, "rows", chain=chain)
    detector = make_detector("rows")
    if noise == 0:
        raw.image[detector.amplifiers[2].serial_overscan.slices_in(detector.raw_box)] = 980.0
    made = remove_signature(raw, detector, known(truth), CONFIG)
    assert str(made.metadata["bad_amplifiers"]).startswith("UL: noise of")
    assert has(made.mask, MaskPlane.BAD).sum() == HALF * HALF


def test_the_light_of_a_broken_amplifier_leaves_no_ghosts(truth: Truth) -> None:
    detector = make_detector("frame")
    raw = expose(uniform(1000.0), truth, "frame")
    plain = remove_signature(raw, detector, known(truth), CONFIG)
    raw.image[detector.amplifiers[0].data.slices_in(detector.raw_box)] = 65535.0
    matrix = np.zeros((4, 4))
    matrix[1:, 0] = 1e-2
    signature = replace(known(truth), crosstalk=CrosstalkMatrix(NAMES, matrix))
    made = remove_signature(raw, detector, signature, CONFIG)
    np.testing.assert_array_equal(made.image[QUADRANTS[3]], plain.image[QUADRANTS[3]])


def test_a_frame_without_a_working_amplifier_is_refused(truth: Truth) -> None:
    raw = expose(uniform(1000.0), truth, "rows")
    raw.image[:] = 7.0
    with pytest.raises(AlgorithmError, match="No amplifier of detector rows works: LL is constant"):
        remove_signature(raw, make_detector("rows"), known(truth), CONFIG)


def test_figures_of_other_amplifiers_are_refused(truth: Truth) -> None:
    raw = expose(uniform(1000.0), truth, "rows")
    other = Signature(crosstalk=CrosstalkMatrix(NAMES[::-1], CROSSTALK))
    with pytest.raises(AlgorithmError, match="CrosstalkMatrix is of the amplifiers UR, UL"):
        remove_signature(raw, make_detector("rows"), other, CONFIG)


def test_gains_are_the_measured_ones_or_else_those_of_the_description(truth: Truth) -> None:
    raw = expose(uniform(1000.0), truth, "rows")
    gain = np.where(np.arange(4) == 0, np.nan, GAIN)
    ptc = PhotonTransfer(NAMES, gain, gain, READ_NOISE, gain)
    partly = remove_signature(raw, make_detector("rows"), Signature(ptc=ptc), CONFIG)
    never = remove_signature(raw, make_detector("rows"), Signature(), CONFIG)
    np.testing.assert_array_equal(partly.image[QUADRANTS[0]], never.image[QUADRANTS[0]])
    for quadrant in QUADRANTS[1:]:
        ratio = np.median(never.image[quadrant] / partly.image[quadrant])
        assert ratio == pytest.approx(1.1, rel=1e-5)
    assert partly.metadata["gain"] == pytest.approx((1.1 * GAIN[0] + GAIN[1:].sum()) / 4)


def test_the_overscan_tells_the_read_noise(truth: Truth) -> None:
    raw = expose(uniform(1000.0), truth, "frame")
    made = remove_signature(raw, make_detector("frame"), known(truth), CONFIG)
    expected = np.median(np.hypot(READ_NOISE, GAIN / np.sqrt(12)))
    assert made.metadata["overscan_noise_electron"] == pytest.approx(expected, rel=0.03)


def test_pixels_beyond_the_turnoff_are_suspect(truth: Truth) -> None:
    light = uniform(1000.0)
    light[60:70, 200:230] = 70000.0
    ptc = PhotonTransfer(NAMES, GAIN, GAIN, READ_NOISE, np.array([4e4, 3e4, np.nan, 5e4]))
    raw = expose(light, truth, "frame")
    made = remove_signature(raw, make_detector("frame"), replace(known(truth), ptc=ptc), CONFIG)
    np.testing.assert_array_equal(has(made.mask, MaskPlane.SUSPECT), light > 5e4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_pattern_of_columns_goes_with_the_parallel_overscan(truth: Truth, layout: str) -> None:
    raw = expose(uniform(500.0), truth, layout, chain=Electronics(columns_adu=12.0))
    spread = []
    for use in (False, True):
        config = SignatureConfig(use_parallel_overscan=use)
        made = remove_signature(raw, make_detector(layout), known(truth), config)
        spread.append(float(np.mean([made.image[q].mean(axis=0).std() for q in QUADRANTS])))
    assert spread[0] > 12.0
    # Left are the noise of a column of the image and that of four rows of overscan.
    assert spread[1] < 1.5 * np.hypot(24.0 / np.sqrt(HALF), 1.2 * 5.0 / np.sqrt(4))


def test_pixels_that_a_calibration_spoils_are_bad_and_no_nan_spreads(truth: Truth) -> None:
    signature = known(truth)
    assert signature.flat is not None
    assert signature.bias is not None
    signature.flat.image[10, 20] = 0.0
    signature.flat.image[11, 20] = np.nan
    signature.bias.variance[12, 20] = -1e6
    raw = expose(uniform(1000.0), truth, "frame")
    made = remove_signature(raw, make_detector("frame"), signature, CONFIG)
    bad = np.argwhere(has(made.mask, MaskPlane.BAD)).tolist()
    assert bad == [[10, 20], [11, 20], [12, 20]]
    assert np.argwhere(has(made.mask, MaskPlane.UNMASKEDNAN)).tolist() == bad[:2]
    assert np.isfinite(made.image).all()
    assert (made.variance > 0).all()


def test_fringes_go_and_their_amplitude_is_told(truth: Truth) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    pattern = np.sin(x / 12.0 + y / 30.0)
    pattern -= pattern.mean()
    raw = expose(2000.0 + 60.0 * pattern, truth, "rows")
    signature = replace(known(truth), fringe=calibration(pattern))
    made = remove_signature(raw, make_detector("rows"), signature, CONFIG)
    error = float(made.metadata["fringe_amplitude_err_electron"])
    assert error < 1.0
    assert abs(float(made.metadata["fringe_amplitude_electron"]) - 60.0) < 4 * error
    left = np.vdot(made.image - 2000.0, pattern) / np.vdot(pattern, pattern)
    assert abs(left) < 1.5


def test_the_brighter_fatter_effect_is_corrected_before_the_flat(truth: Truth) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = 1000.0 + 8e4 * np.exp(-((y - 90) ** 2 + (x - 170) ** 2) / 12.0)
    raw = expose(light, truth, "frame")
    j, i = np.mgrid[-3:4, -3:4]
    kernel = BrighterFatterKernel(-1e-6 / (1 + 2.0 * (j * j + i * i)))
    detector = make_detector("frame")
    charge = remove_signature(raw, detector, replace(known(truth), flat=None), CONFIG)
    made = remove_signature(raw, detector, replace(known(truth), bfk=kernel), CONFIG)
    hole: npt.NDArray[np.bool_] = np.zeros(SHAPE, dtype=bool)
    expected = correct_brighter_fatter(charge.image, hole, kernel, tolerance=1.0, max_iterations=10)
    np.testing.assert_allclose(made.image, expected.image / truth.response, rtol=1e-5, atol=1e-2)
    assert made.image.max() > 1.005 * (charge.image / truth.response).max()
    assert made.metadata["n_brighter_fatter_iterations"] == expected.n_iterations < 10


def test_the_amplifiers_of_both_layouts_are_the_same(truth: Truth) -> None:
    ramp = np.arange(float(SHAPE[0] * SHAPE[1])).reshape(SHAPE)
    cube = in_read_order(ramp)
    assert cube[:, 0, 0].tolist() == [ramp[0, 0], ramp[0, -1], ramp[-1, 0], ramp[-1, -1]]


def test_the_sky_beyond_a_trail_that_has_run_over_keeps_its_charge(truth: Truth) -> None:
    """What runs over along a column is not pushed, and is not to be put back."""
    light = uniform(1000.0)
    raw = expose(light, truth, "rows")
    detector = make_detector("rows")
    data = detector.amplifiers[0].data.slices_in(detector.raw_box)
    trail = raw.image[data][40:90, 60]
    trail[:-1] = SATURATION_ADU + 500.0
    trail[-1] = 30000.0  # what was left of it
    raw.mask[data][40:89, 60] |= np.int32(MaskPlane.SAT)
    y, x = np.mgrid[-3:4, -3:4]
    kernel = BrighterFatterKernel(-7e-7 * (1.0 + x * x + y * y) ** -1.5)
    plain = remove_signature(raw, detector, known(truth), CONFIG)
    made = remove_signature(raw, detector, replace(known(truth), bfk=kernel), CONFIG)
    hole = np.zeros(SHAPE, dtype=bool)
    hole[39:90, 59:62] = True
    # The sky itself pushes by a thousandth of its 1000 electrons.
    assert np.abs(made.image - plain.image)[~hole].max() < 10.0
    np.testing.assert_array_equal(made.image[40:89, 60], plain.image[40:89, 60])
