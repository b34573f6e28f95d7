"""Linearity of an amplifier from flats of rising exposure times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from lsstpipe.errors import AlgorithmError

FloatArray = npt.NDArray[np.float64]

_N_LEAST = 5
_SPAN_LEAST = 3.0
_MAX_CORRELATION = 0.8
_ROBUST_SCALE = 5e-4


@dataclass(frozen=True, slots=True)
class LinearityFit:
    """How far an amplifier is from linear.

    Attributes
    ----------
    coefficient, coefficient_err
        c of ``measured = true * (1 - c * true)``, per ADU.
    drift
        Change of the lamp from the first to the last flat, relative; 0 where it is not fitted.
    residual
        Scatter of the corrected signals around exposure time times lamp, relative.
    n_used
        Flats that were fitted.
    """

    coefficient: float
    coefficient_err: float
    drift: float
    residual: float
    n_used: int


def fit_linearity(
    signal_adu: FloatArray, time_s: FloatArray, mjd: FloatArray, *, max_adu: float
) -> LinearityFit:
    """Fit the curve of an amplifier to flats of rising exposure times.

    The lamp may drift steadily; that can be told from the curve if the times do not rise with the
    clock all along, as where each flat is taken twice, going up and coming down.

    Parameters
    ----------
    signal_adu
        Mean signal of each flat above the bias level, ADU, shape ``(n,)``.
    time_s
        Exposure times.
    mjd
        When each was taken.
    max_adu
        Level above which flats are left out: there the amplifier saturates.

    Raises
    ------
    AlgorithmError
        If there are fewer than five flats or their times span less than a factor of three.
    """
    used = np.isfinite(signal_adu) & (signal_adu > 0) & (signal_adu <= max_adu) & (time_s > 0)
    signal, time = signal_adu[used], time_s[used]
    if len(signal) < _N_LEAST or time.max() < _SPAN_LEAST * time.min():
        raise AlgorithmError(
            f"Linearity needs at least {_N_LEAST} flats whose exposure times span a factor of "
            f"{_SPAN_LEAST:g}, got {len(signal)} below {max_adu:.0f} ADU."
        )
    span = max(float(np.ptp(mjd[used])), 1e-9)
    clock = (mjd[used] - mjd[used].min()) / span - 0.5
    has_drift = len(signal) > _N_LEAST and abs(_correlate(clock, time)) < _MAX_CORRELATION
    unit = float(np.median(signal))
    rate = unit / float(np.median(time))

    def residual(values: FloatArray) -> FloatArray:
        lamp = 1 + (values[2] * clock if has_drift else 0.0)
        true = values[0] * rate * time * lamp
        result: FloatArray = signal / (true * (1 - values[1] * true / unit)) - 1
        return result

    start = np.array([1.0, 0.0, 0.0] if has_drift else [1.0, 0.0])
    fit = least_squares(residual, start, loss="soft_l1", f_scale=_ROBUST_SCALE, x_scale=0.01)
    left = residual(fit.x)
    scatter = 1.4826 * float(np.median(np.abs(left - np.median(left))))
    covariance = np.linalg.pinv(fit.jac.T @ fit.jac)
    return LinearityFit(
        coefficient=float(fit.x[1]) / unit,
        coefficient_err=scatter * float(np.sqrt(covariance[1, 1])) / unit,
        drift=float(fit.x[2]) if has_drift else 0.0,
        residual=float(np.std(left)),
        n_used=len(signal),
    )


def _correlate(a: FloatArray, b: FloatArray) -> float:
    """Correlation of two columns; 0 where one does not vary."""
    da, db = a - a.mean(), b - b.mean()
    norm = float(np.sqrt(np.sum(da**2) * np.sum(db**2)))
    return float(np.sum(da * db)) / norm if norm > 0 else 0.0
