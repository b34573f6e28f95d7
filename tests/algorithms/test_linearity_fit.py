"""The curve of an amplifier from simulated ramps of flats."""

import numpy as np
import pytest

from lsstpipe.algorithms.linearity import Linearizer
from lsstpipe.algorithms.linearity_fit import fit_linearity
from lsstpipe.errors import AlgorithmError

C = 4e-7
RATE = 1000.0
UP_AND_DOWN = np.array([2, 6, 12, 20, 30, 40, 50, 55, 50, 40, 30, 20, 12, 6, 2], dtype=float)
UP = np.linspace(2, 55, 12)


def ramp(
    rng: np.random.Generator, times: np.ndarray, *, drift: float = 0.0, c: float = C
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signals that are known to 0.01 %, times, and when they were taken."""
    mjd = 60000 + np.cumsum(times + 10) / 86400
    clock = (mjd - mjd[0]) / np.ptp(mjd) - 0.5
    true = RATE * times * (1 + drift * clock)
    noise = 1 + 1e-4 * rng.standard_normal(len(times))
    return true * (1 - c * true) * noise, times, mjd


def millimagnitudes_left(c: float) -> float:
    """Largest flux-dependent error up to 90 % of 60 000 ADU, against that of faint light."""
    linearizer = Linearizer(("A",), "quadratic", np.array([[c]]), np.empty((1, 0)))
    true = np.linspace(500, 54000, 200)
    measured = true * (1 - C * true)
    ratio = (measured + linearizer.correction(0, measured)) / true
    return float(np.ptp(2.5 * np.log10(ratio))) * 1000


@pytest.mark.parametrize("drift", [0.0, 0.01])
def test_magnitudes_are_linear_to_a_millimagnitude_though_the_lamp_drifts(
    rng: np.random.Generator, drift: float
) -> None:
    fit = fit_linearity(*ramp(rng, UP_AND_DOWN, drift=drift), max_adu=60000)
    assert millimagnitudes_left(0.0) > 20
    assert millimagnitudes_left(fit.coefficient) < 1
    assert abs(fit.coefficient - C) < 5 * fit.coefficient_err
    assert fit.drift == pytest.approx(drift, abs=3e-4)


def test_a_drift_that_rises_with_the_times_is_not_fitted(rng: np.random.Generator) -> None:
    fit = fit_linearity(*ramp(rng, UP), max_adu=60000)
    assert fit.drift == 0.0
    assert millimagnitudes_left(fit.coefficient) < 1


def test_a_lamp_that_flickers_once_does_little(rng: np.random.Generator) -> None:
    signal, times, mjd = ramp(rng, UP_AND_DOWN)
    signal[4] *= 1.02
    fit = fit_linearity(signal, times, mjd, max_adu=60000)
    assert millimagnitudes_left(fit.coefficient) < 3


def test_saturated_levels_are_left_out(rng: np.random.Generator) -> None:
    signal, times, mjd = ramp(rng, UP_AND_DOWN)
    fit = fit_linearity(np.minimum(signal, 45000), times, mjd, max_adu=44000)
    assert fit.n_used == 12
    assert millimagnitudes_left(fit.coefficient) < 2


def test_too_few_levels_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(AlgorithmError, match=r"at least 5 flats .* got 3 below"):
        fit_linearity(*ramp(rng, np.array([4.0, 6.0, 7.0])), max_adu=60000)
