"""Gain, read noise and full well of an amplifier from the noise of pairs of flats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.optimize import curve_fit

from lsstpipe.algorithms.flat_pairs import PairNoise
from lsstpipe.errors import AlgorithmError

FloatArray = npt.NDArray[np.float64]

_N_CURVE = 4
"""Pairs from which the curve of the variance can be told."""

_SPAN_CURVE = 3.0
"""Ratio of highest to lowest level that it takes besides."""

_DROP_N_SIGMA = 5.0

_READ_NOISE_ERROR = 0.2
"""Relative error that the read noise of the biases, squared, is taken for in the fit."""


@dataclass(frozen=True, slots=True)
class GainFit:
    """What the pairs of an amplifier tell.

    Attributes
    ----------
    gain, gain_err
        Electrons per ADU.
    read_noise_adu
        Noise of a pixel without light; that which was given where the flats do not tell.
    bend
        Covariance parameter a_00, per electron: below 0, as brighter pixels push charge out. 0
        where the flats do not tell.
    turnoff_adu
        Highest level before the variance drops; NaN where it never does.
    n_used
        Pairs up to that level.
    """

    gain: float
    gain_err: float
    read_noise_adu: float
    bend: float
    turnoff_adu: float
    n_used: int


def fit_gain(pairs: Sequence[PairNoise], *, read_noise_adu: float) -> GainFit:
    """Fit the photon transfer curve of an amplifier.

    From four levels that span a factor of three the variance is the exponential of Astier et al.
    (2019, A&A 629, A36, equation 16) that charge pushed into neighbours makes of a straight line;
    with fewer it is that line, and the gain comes out too large by the share of the charge that is
    pushed.

    Parameters
    ----------
    pairs
        Noise of each pair.
    read_noise_adu
        Noise of a pixel without light, as known from biases.

    Raises
    ------
    AlgorithmError
        If there is no pair, or its noise is not above that of the read-out.
    """
    if not pairs:
        raise AlgorithmError("A gain needs at least one pair of flats of one level, got none.")
    ordered = sorted(pairs, key=lambda p: p.level)
    turnoff, used = _cut_at_turnoff(ordered)
    level, variance, error, factor = (
        np.array([getattr(p, name) for p in used])
        for name in ("level", "variance", "variance_err", "readout_factor")
    )
    photons = variance - factor * read_noise_adu**2
    if not (photons > 0).all():
        raise AlgorithmError(
            f"Flats of {level.min():.0f} ADU have a variance of {variance.min():.1f} ADU**2, no "
            f"more than the read-out of {read_noise_adu:.1f} ADU alone."
        )
    # The weighted mean of level over variance: a line through the read-out noise.
    weights = (level / error) ** 2
    slope = float(np.sum(weights * photons / level) / weights.sum())
    gain, gain_err = 1 / slope, float(1 / np.sqrt(weights.sum())) / slope**2
    if len(used) < _N_CURVE or level.max() < _SPAN_CURVE * level.min():
        return GainFit(gain, gain_err, read_noise_adu, 0.0, turnoff, len(used))

    # The biases are a flat of level 0; the read noise of a data sheet may be 10 % off.
    x, n = np.append(0.0, level), np.append(1.0, factor)
    y = np.append(read_noise_adu**2, variance)
    sigma = np.append(_READ_NOISE_ERROR * read_noise_adu**2, error)

    def curve(x: FloatArray, gain: float, bend: float, noise: float) -> FloatArray:
        push = 2e-6 * bend * gain * x
        small = np.abs(push) < 1e-9
        rise = np.where(small, 1.0, np.expm1(push) / np.where(small, 1.0, push))
        result: FloatArray = x / gain * rise + n * noise
        return result

    start = (gain, -1.0, read_noise_adu**2)
    solution, covariance = curve_fit(curve, x, y, p0=start, sigma=sigma, absolute_sigma=True)
    return GainFit(
        gain=float(solution[0]),
        gain_err=float(np.sqrt(covariance[0, 0])),
        read_noise_adu=float(np.sqrt(max(solution[2], 0.0))),
        bend=float(solution[1]) * 1e-6,
        turnoff_adu=turnoff,
        n_used=len(used),
    )


def _cut_at_turnoff(ordered: Sequence[PairNoise]) -> tuple[float, Sequence[PairNoise]]:
    """Find the level after which the variance drops, and the pairs up to it."""
    for i, (low, high) in enumerate(pairwise(ordered)):
        error = float(np.hypot(low.variance_err, high.variance_err))
        if high.variance < low.variance - _DROP_N_SIGMA * error and high.level > 1.02 * low.level:
            return low.level, ordered[: i + 1]
    return float("nan"), ordered
