"""Calibrations of a simulated detector of four amplifiers, made by the tasks in their order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from lsstpipe.algorithms.linearity import Linearizer
from lsstpipe.algorithms.readout import assemble, take_apart
from lsstpipe.data_model import DataId
from lsstpipe.errors import NoWorkFound
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.io.json import read_json, write_json
from lsstpipe.tasks import (
    bfk,
    bias,
    crosstalk,
    dark,
    defects,
    flat,
    flat_frames,
    fringe,
    linearizer,
    ptc,
)
from lsstpipe.tasks.base import Json
from lsstpipe.tasks.frames import know_electronics
from lsstpipe.tasks.signature import remove_signature
from tests.tasks.simulated_detector import (
    BIAS_ADU,
    GAIN,
    HALF,
    NAMES,
    READ_NOISE,
    SHAPE,
    Electronics,
    make_detector,
    make_info,
    read_out,
)

FloatArray = npt.NDArray[np.float64]
LAYOUT = "frame"
DETECTOR = make_detector(LAYOUT)
NONLINEARITY = np.array([4e-7, 3e-7, 5e-7, 4e-7])
CROSSTALK = np.array(
    [[0, 3, 2, 1.5], [3, 0, 1.5, 2], [2, 1.5, 0, 3], [1.5, 2, 3, 0]]
) * 1e-4  # fmt: skip
BAD_COLUMN, HOT = 40, (200, 60)
RATE = 0.05
"""Electrons a second of dark current."""


def make_structure() -> FloatArray:
    """Draw the 2-D bias: electrons."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return 2.0 * np.sin(x / 9.0) * np.cos(y / 31.0)


def make_response() -> FloatArray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / 255 - 0.5
    response = (1 - 0.2 * (y**2 + x**2)) * (1 + 0.01 * np.random.default_rng(1).normal(size=SHAPE))
    response[120:123, 77] = 0.5
    return response / response.mean()


def expose(
    rng: np.random.Generator, number: int, kind: str, light: FloatArray | float, *, time_s: float,
    chain: Electronics | None = None,
) -> tuple[DataId, Exposure]:  # fmt: skip
    """Make a raw frame of light, dark current and 2-D bias."""
    current = np.full(SHAPE, RATE * time_s)
    current[:, BAD_COLUMN] += 4000.0
    current[HOT] += 9000.0
    charge = rng.poisson(np.broadcast_to(light, SHAPE)) + rng.poisson(current)
    raw = read_out(charge + make_structure(), LAYOUT, rng, chain)
    info = replace(
        make_info(kind, time_s=time_s), exposure=number, mid_mjd=60000 + number * 40 / 86400
    )
    return DataId(instrument="sim", detector=0, exposure=number), replace(raw, info=info)


def expose_lamp(
    rng: np.random.Generator, times_s: Sequence[float], *, rate: float = 1500.0
) -> dict[DataId, Exposure]:
    """Make flats of a lamp that drifts by a percent, through electronics that bend."""
    chain = Electronics(nonlinearity=NONLINEARITY)
    frames = []
    for i, time_s in enumerate(times_s):
        light = rate * time_s * (1 + 0.01 * i / len(times_s)) * make_response()
        frames.append(expose(rng, 100 + i, "flat", light, time_s=time_s, chain=chain))
    return dict(frames)


UP_AND_DOWN = (4, 8, 16, 28, 40, 50, 50, 40, 28, 16, 8, 4)


@dataclass(frozen=True)
class Night:
    biases: dict[DataId, Exposure]
    darks: dict[DataId, Exposure]
    lamp: dict[DataId, Exposure]
    bias: Exposure
    ptc: Json
    linearizer: Json
    dark: Exposure
    defects: Exposure
    flat: Exposure


@pytest.fixture(scope="module")
def night() -> Night:
    rng = np.random.default_rng(20260101)
    biases = dict(
        # A bias column of hot pixels fills in no time: dark current only where there is time.
        expose(rng, i, "bias", 0.0, time_s=0.0)
        for i in range(10)
    )
    darks = dict(
        expose(rng, 20 + i, "dark", 0.0, time_s=t) for i, t in enumerate((300, 300, 600, 600, 600))
    )
    lamp = expose_lamp(rng, UP_AND_DOWN)
    master = bias.combine(bias.Inputs(biases), bias.Config(), DETECTOR).bias
    transfer = ptc.measure(ptc.Inputs(lamp, master), ptc.Config(), DETECTOR).ptc
    curve = linearizer.measure(
        linearizer.Inputs(lamp, master, transfer), linearizer.Config(), DETECTOR
    ).linearizer
    current = dark.combine(dark.Inputs(darks, master, transfer), dark.Config(), DETECTOR).dark
    bad = defects.find(defects.Inputs(master, current), defects.Config(), DETECTOR).defects
    response = flat.combine(
        flat.Inputs(lamp, master, current, bad.mask, transfer, None, curve), flat.Config(), DETECTOR
    ).flat
    return Night(biases, darks, lamp, master, transfer, curve, current, bad, response)


@pytest.mark.parametrize("layout", ["frame", "rows"])
def test_taking_apart_undoes_assembly(layout: str, rng: np.random.Generator) -> None:
    cube = rng.normal(size=(4, HALF, HALF)).astype(np.float32)
    detector = make_detector(layout)
    np.testing.assert_array_equal(take_apart(assemble(cube, detector), detector), cube)


def test_the_bias_is_taken_off_in_the_electrons_of_the_measured_gains(night: Night) -> None:
    """Else a tenth of the 2-D bias would stay where the described gain is a tenth off."""
    _, raw = expose(np.random.default_rng(3), 1, "bias", 0.0, time_s=0.0)
    level = replace(night.bias, image=night.bias.image + np.float32(1000.0))
    taken = [
        remove_signature(
            raw, DETECTOR, replace(know_electronics(night.ptc), bias=master), bias.Config()
        ).image
        for master in (night.bias, level)
    ]
    ratio = np.array(night.ptc["gain"]) / [a.gain for a in DETECTOR.amplifiers]
    np.testing.assert_allclose(taken[0] - taken[1], 1000.0 * DETECTOR.paint(ratio), rtol=1e-4)


def true_gain() -> FloatArray:
    """Electrons by the true gains over electrons by the described ones, by pixel."""
    ratio = [g / a.gain for g, a in zip(GAIN, DETECTOR.amplifiers, strict=True)]
    return DETECTOR.paint(ratio).astype(np.float64)


def plain_pixels() -> npt.NDArray[np.bool_]:
    plain = np.ones(SHAPE, dtype=bool)
    plain[:, BAD_COLUMN] = False
    plain[HOT] = False
    plain[120:123, 77] = False
    return plain


def test_the_master_bias_is_the_truth_to_a_tenth_of_an_electron(night: Night) -> None:
    off = (night.bias.image * true_gain() - make_structure())[plain_pixels()]
    assert abs(off.mean()) < 0.1
    pull = off / np.sqrt(night.bias.variance[plain_pixels()])
    assert 0.7 < pull.std() < 1.1


def test_the_biases_tell_the_read_noise_of_each_amplifier(night: Night) -> None:
    for name, truth, gain, amplifier in zip(
        NAMES, READ_NOISE, GAIN, DETECTOR.amplifiers, strict=True
    ):
        found = float(night.bias.metadata[f"read_noise_{name}"]) * gain / amplifier.gain
        assert found == pytest.approx(truth, rel=0.035)


def test_a_flat_among_the_biases_is_left_out_and_named(night: Night) -> None:
    rng = np.random.default_rng(5)
    key, flat_frame = expose(rng, 77, "bias", 20000.0, time_s=0.0)
    _, full_frame = expose(rng, 78, "bias", 300000.0, time_s=0.0)
    mixed = {**night.biases, key: flat_frame, DataId(key, exposure=78): full_frame}
    made = bias.combine(bias.Inputs(mixed), bias.Config(), DETECTOR).bias
    assert made.metadata["n_inputs"] == 10
    assert str(made.metadata["left_out"]).startswith("77: no bias, its level is ")
    assert "78: " in str(made.metadata["left_out"])
    np.testing.assert_array_equal(made.image, night.bias.image)


def test_gains_are_the_truth_to_a_percent(night: Night) -> None:
    gain, error = np.array(night.ptc["gain"]), np.array(night.ptc["gain_err"])
    assert night.ptc["n_pairs"] == 6
    assert error.max() < 0.01 * GAIN.max()
    # Bent electronics change the noise by as much again as the level: half a percent of bias.
    assert np.abs(gain / GAIN - 1).max() < 0.01 + 3 * (error / GAIN).max()
    np.testing.assert_allclose(night.ptc["read_noise_electron"], READ_NOISE, rtol=0.03)


def test_magnitudes_are_linear_to_three_thousandths(night: Night) -> None:
    curve = Linearizer.from_json_dict(night.linearizer)
    true = np.linspace(300, 50000, 300)
    for i, c in enumerate(NONLINEARITY):
        measured = true * (1 - c * true)
        ratio = (measured + curve.correction(i, measured)) / true
        assert np.ptp(2.5 * np.log10(ratio)) < 0.003 < np.ptp(2.5 * np.log10(measured / true))
    assert night.linearizer["drift"] == pytest.approx(0.01, abs=0.002)


def test_darks_of_two_times_make_one_that_is_true_to_two_percent(night: Night) -> None:
    assert night.dark.info is not None
    assert night.dark.info.dark_time_s == 480.0
    off = night.dark.image[plain_pixels()] - 480.0 * RATE
    assert abs(off.mean()) < 0.02 * 480.0 * RATE


def test_hot_pixels_and_the_whole_of_a_bad_column_are_defects(night: Night) -> None:
    bad = has(night.defects.mask, MaskPlane.BAD)
    assert bad[:, BAD_COLUMN].all()
    assert bad[HOT]
    assert (bad & plain_pixels()).sum() < 1e-3 * bad.size


def test_the_flat_is_the_response_to_half_a_thousandth(night: Night) -> None:
    bad = has(night.flat.mask, MaskPlane.BAD)
    assert bad[120:123, 77].all()
    good = plain_pixels() & ~bad
    ratio = np.where(good, night.flat.image / make_response(), np.nan)
    ratio /= np.nanmean(ratio)
    blocks = np.nanmean(ratio.reshape(8, 32, 8, 32), axis=(1, 3))
    # The mean of a block is known to 0.004 %, the gain of an amplifier to half a percent.
    for up in (0, 4):
        for right in (0, 4):
            own = blocks[up : up + 4, right : right + 4]
            assert np.abs(own / own.mean() - 1).max() < 5e-4
    assert night.flat.metadata["made_of"] == "flat"


def test_flats_that_saturate_or_are_faint_are_left_out_and_named(night: Night) -> None:
    rng = np.random.default_rng(6)
    more = dict(
        expose(rng, number, "flat", level * make_response(), time_s=9.0)
        for number, level in ((300, 400000.0), (301, 500.0))
    )
    inputs = flat.Inputs({**night.lamp, **more}, night.bias, night.dark, night.defects.mask)
    made = flat.combine(inputs, flat.Config(), DETECTOR).flat
    assert made.metadata["n_used"] == 12
    left_out = str(made.metadata["left_out"])
    assert "300: " in left_out
    assert "301: its level of 5" in left_out


def test_crosstalk_is_the_truth_to_ten_percent(night: Night) -> None:
    rng = np.random.default_rng(12)
    chain = Electronics(crosstalk=CROSSTALK)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    skies = []
    for number in range(12):
        light = np.full(SHAPE, 100.0)
        for _ in range(60):
            sy, sx, flux = *rng.uniform(0, 2 * HALF, 2), 10 ** rng.uniform(5, 6.4)
            light += flux / 25.0 * np.exp(-((y - sy) ** 2 + (x - sx) ** 2) / 8.0)
        skies.append(
            expose(rng, number, "science", np.minimum(light, 7e4), time_s=1.0, chain=chain)
        )
    config = crosstalk.Config(threshold_electron=8000.0, min_pixels=200)
    made = crosstalk.measure(crosstalk.Inputs(dict(skies), night.bias), config, DETECTOR).crosstalk
    # A gain that is wrong by the same factor everywhere leaves the ratio of electrons alone.
    found, error = np.array(made["coefficients"]), np.array(made["errors"])
    apart = CROSSTALK > 0
    assert np.abs((found - CROSSTALK)[apart] / error[apart]).max() < 4
    assert np.abs(found[apart] / CROSSTALK[apart] - 1).max() < 0.1 + 3 * (error[apart].max() / 2e-4)
    strong = CROSSTALK >= 3e-4
    assert np.abs(found[strong] / CROSSTALK[strong] - 1).mean() < 0.1


def test_flats_without_ramp_or_pair_or_bias_are_no_work(night: Night) -> None:
    two = dict(list(night.lamp.items())[:2])
    with pytest.raises(NoWorkFound, match="No two of 2 flats have one filter and one level"):
        ptc.measure(ptc.Inputs(two, night.bias), ptc.Config(), DETECTOR)
    with pytest.raises(NoWorkFound, match="Linearity needs at least 5 flats"):
        linearizer.measure(linearizer.Inputs(two, night.bias, None), linearizer.Config(), DETECTOR)
    with pytest.raises(NoWorkFound, match="times its error"):
        bfk.measure(bfk.Inputs(night.lamp, night.bias, None), bfk.Config(), DETECTOR)
    blind = replace(
        DETECTOR,
        amplifiers=tuple(replace(a, serial_overscan=None) for a in DETECTOR.amplifiers),
    )
    with pytest.raises(NoWorkFound, match="neither overscan nor bias"):
        ptc.measure(ptc.Inputs(night.lamp, None), ptc.Config(), blind)


def test_a_ramp_that_does_not_fit_into_memory_tells_the_same(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flat_frames, "_KEPT_BYTES", 3 * night.bias.image.nbytes)
    again = ptc.measure(ptc.Inputs(night.lamp, night.bias), ptc.Config(), DETECTOR).ptc
    # As text, in which what is not known equals itself.
    assert str(again) == str(night.ptc)


def test_what_ptc_found_of_a_ramp_tells_the_others_the_same_as_its_frames(night: Night) -> None:
    stored = read_json(write_json(night.ptc), "ptc")
    blank = {key: value for key, value in stored.items() if key != "ramp"}
    made, again = (
        linearizer.measure(
            linearizer.Inputs(night.lamp, night.bias, own), linearizer.Config(), DETECTOR
        ).linearizer
        for own in (stored, blank)
    )
    assert str(made) == str(again)
    shared = np.array([[0, 1, 0], [1, 96, 1], [0, 1, 0]]) / 100  # neighbours go together
    lamp = {
        key: replace(raw, image=ndimage.convolve(raw.image, shared))
        for key, raw in night.lamp.items()
    }
    made, again = (
        bfk.measure(bfk.Inputs(lamp, night.bias, own, night.linearizer), bfk.Config(), DETECTOR).bfk
        for own in (stored, blank)
    )
    assert str(made) == str(again)


def test_levels_of_other_frames_or_other_settings_are_measured_anew(night: Night) -> None:
    wrong = night.ptc["ramp"] | {"levels_adu": [[1.0] * 4] * len(UP_AND_DOWN)}
    lamp = dict(list(night.lamp.items())[:-1])
    for raws, config in (
        (lamp, linearizer.Config()),
        (night.lamp, linearizer.Config(overscan_n_rows=3)),
        (night.lamp, linearizer.Config(max_saturated_fraction_level=0.01)),
    ):
        inputs = linearizer.Inputs(raws, night.bias, night.ptc | {"ramp": wrong})
        found = Linearizer.from_json_dict(linearizer.measure(inputs, config, DETECTOR).linearizer)
        assert found.coefficients[:, 0] == pytest.approx(NONLINEARITY, rel=0.2)


def test_the_gain_of_a_dead_amplifier_is_unknown_and_the_others_are_measured(night: Night) -> None:
    dead = {}
    for key, raw in night.lamp.items():
        own = DETECTOR.amplifiers[1].data.slices_in(DETECTOR.raw_box)
        image = raw.image.copy()
        image[own] = np.float32(BIAS_ADU[1])
        dead[key] = replace(raw, image=image)
    made = ptc.measure(ptc.Inputs(dead, None), ptc.Config(), DETECTOR).ptc
    assert np.isnan(made["gain"]).tolist() == [False, True, False, False]


def test_fringes_are_found_after_the_flat_and_a_sky_without_them_is_no_work(night: Night) -> None:
    rng = np.random.default_rng(31)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    pattern = np.sqrt(2) * np.sin((x + 15 * np.sin(y / 50)) / 4.0)
    for strength in (0.02, 0.0):
        skies = dict(
            expose(rng, i, "science", 4000 * (1 + strength * pattern) * make_response(), time_s=60)
            for i in range(6)
        )
        inputs = fringe.Inputs(
            skies, night.bias, night.dark, night.defects.mask, night.flat, night.ptc
        )
        if strength:
            made = fringe.combine(inputs, fringe.Config(), DETECTOR).fringe
            good = plain_pixels() & ~has(made.mask, MaskPlane.BAD)
            assert np.corrcoef(made.image[good], pattern[good])[0, 1] > 0.95
            assert made.metadata["strength"] == pytest.approx(strength, rel=0.15)
            assert made.image.std() == pytest.approx(1.0, abs=0.01)
        else:
            with pytest.raises(NoWorkFound, match="do not stand out"):
                fringe.combine(inputs, fringe.Config(), DETECTOR)
