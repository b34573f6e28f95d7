"""The linearity correction is the inverse of what bends the signal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from lsstpipe.algorithms.linearity import Linearizer, linearize
from lsstpipe.io.json import read_json, write_json

TRUE_ADU = np.linspace(0.0, 60000.0, 61)


def quadratic(*c: float) -> Linearizer:
    names = tuple(f"{i}" for i in range(len(c)))
    return Linearizer(names, "quadratic", np.array(c)[:, None], np.zeros((len(c), 0)))


@given(c=st.floats(-1.4e-6, 2e-6), gain=st.floats(0.5, 5.0))
def test_a_quadratic_signal_becomes_the_true_one_to_a_ten_thousandth_of_an_adu_and_float32(
    c: float, gain: float
) -> None:
    measured = TRUE_ADU * (1 - c * TRUE_ADU)
    electrons = (gain * measured).astype(np.float32)[None, :]
    linearize(electrons, quadratic(0.0, c), 1, gain=gain)
    np.testing.assert_allclose(electrons[0] / gain, TRUE_ADU, rtol=3e-7, atol=3e-3)


def test_magnitudes_of_all_signals_to_90_percent_of_full_well_agree_within_3_millimagnitudes() -> (
    None
):
    true = np.geomspace(100.0, 54000.0, 50)
    bent = true * (1 - 1e-6 * true)
    assert np.ptp(-2.5 * np.log10(bent / true)) > 0.05
    electrons = (1.6 * bent).astype(np.float32)[:, None]
    linearize(electrons, quadratic(1e-6), 0, gain=1.6)
    mmag = -2500 * np.log10(electrons[:, 0] / (1.6 * true))
    assert np.abs(mmag).max() < 0.1


def test_a_spline_signal_becomes_the_true_one() -> None:
    true_knots = np.array([0.0, 100, 1000, 5000, 20000, 40000, 55000, 60000])
    measured_knots = true_knots - np.array([0, 0.5, 6, 20, 50, 300, 1500, 2600])
    curve = PchipInterpolator(measured_knots, true_knots)
    measured = np.array([brentq(lambda m, t=t: curve(m) - t, 0, 57400) for t in TRUE_ADU[:-1]])
    linearizer = Linearizer(
        ("1",), "spline", (true_knots - measured_knots)[None], measured_knots[None]
    )
    electrons = (2.0 * measured).astype(np.float32)[None, :]
    linearize(electrons, linearizer, 0, gain=2.0)
    np.testing.assert_allclose(electrons[0] / 2, TRUE_ADU[:-1], rtol=1e-6, atol=0.05)


def test_the_noise_around_zero_and_unknown_amplifiers_stay_as_they_are() -> None:
    signal = np.array([[-30.0, -1.0, 0.0, 20000.0]], np.float32)
    kept = signal.copy()
    linearize(kept, quadratic(np.nan), 0, gain=1.0)
    np.testing.assert_array_equal(kept, signal)
    linearize(kept, quadratic(1e-6), 0, gain=1.0)
    np.testing.assert_array_equal(kept[0, :3], signal[0, :3])
    assert kept[0, 3] > 20000


def test_beyond_its_last_knot_a_spline_keeps_its_last_correction() -> None:
    linearizer = Linearizer(
        ("1",), "spline", np.array([[0.0, 5, 9]]), np.array([[0.0, 1000, 2000]])
    )
    np.testing.assert_allclose(linearizer.correction(0, [2000, 3000, 70000]), 9)
    signal = np.array([[70000.0]], np.float32)
    linearize(signal, linearizer, 0, gain=1.0)
    assert signal[0, 0] == 70009


@pytest.mark.parametrize("kind", ["quadratic", "spline"])
def test_a_linearizer_is_the_same_after_json(kind: str) -> None:
    made = quadratic(1e-7, np.nan)
    if kind == "spline":
        made = Linearizer(("0", "1"), "spline", np.eye(2, 3), np.arange(6.0).reshape(2, 3))
    again = Linearizer.from_json_dict(read_json(write_json(made.to_json_dict()), "linearizer"))
    assert (again.kind, again.amplifiers) == (made.kind, made.amplifiers)
    np.testing.assert_array_equal(again.coefficients, made.coefficients)
    np.testing.assert_array_equal(again.knots_adu, made.knots_adu)


def test_coefficients_without_their_knots_are_refused() -> None:
    with pytest.raises(ValueError, match="a spline linearizer of 1 amplifiers"):
        Linearizer(("1",), "spline", np.zeros((1, 3)), np.zeros((1, 0)))
