"""Figures of a finite sample with their standard errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.repeatability import Estimate
from lsstpipe.algorithms.stellar_locus import SIGMA_PER_MAD

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_ERROR_OF_MEDIAN = 1.2533141
"""Standard error of a median over that of a mean, of a normal distribution."""
_N_GROUPS = 25
_NOTHING = Estimate(math.nan, math.nan, 0)


def take_mean(values: FloatArray) -> Estimate:
    """Take the mean of the finite values; its error is that of independent values."""
    sample = values[np.isfinite(values)]
    if not len(sample):
        return _NOTHING
    return Estimate(float(np.mean(sample)), _spread(sample) / math.sqrt(len(sample)), len(sample))


def take_median(values: FloatArray) -> Estimate:
    """Take the median of the finite values; its error is that of a normal distribution."""
    sample = values[np.isfinite(values)]
    if not len(sample):
        return _NOTHING
    middle = float(np.median(sample))
    width = SIGMA_PER_MAD * float(np.median(np.abs(sample - middle)))
    return Estimate(middle, _ERROR_OF_MEDIAN * width / math.sqrt(len(sample)), len(sample))


def take_rms(values: FloatArray) -> Estimate:
    """Take the root of the mean square of the finite values."""
    sample = values[np.isfinite(values)]
    if not len(sample):
        return _NOTHING
    rms = float(np.sqrt(np.mean(sample**2)))
    return Estimate(rms, rms / math.sqrt(2.0 * len(sample)), len(sample))


def take_spread(values: FloatArray) -> Estimate:
    """Take the standard deviation of the finite values about their mean."""
    sample = values[np.isfinite(values)]
    if len(sample) < 2:
        return _NOTHING
    width = _spread(sample)
    return Estimate(width, width / math.sqrt(2.0 * (len(sample) - 1)), len(sample))


def take_excess(values: FloatArray, variance: FloatArray) -> Estimate:
    """Take the standard deviation of values beyond their own noise; 0 where noise explains all.

    Parameters
    ----------
    values
        Shape ``(n,)``.
    variance
        Variance of each by noise alone, shape ``(n,)``.
    """
    good = np.isfinite(values) & np.isfinite(variance)
    n = int(good.sum())
    if n < 2:
        return _NOTHING
    total, noise = float(np.var(values[good], ddof=1)), float(np.mean(variance[good]))
    excess = math.sqrt(max(0.0, total - noise))
    error_of_square = total * math.sqrt(2.0 / (n - 1))
    error = min(
        error_of_square / (2.0 * excess) if excess else math.inf, math.sqrt(error_of_square)
    )
    return Estimate(excess, error, n)


def take_share(hit: BoolArray) -> Estimate:
    """Take the share of hits in per cent, with a binomial error that is not zero at the ends."""
    n = len(hit)
    if not n:
        return _NOTHING
    likely = (float(hit.sum()) + 0.5) / (n + 1.0)
    error = 100.0 * math.sqrt(likely * (1.0 - likely) / n)
    return Estimate(100.0 * float(hit.mean()), error, n)


def jackknife(statistic: Callable[[IntArray], float], star: IntArray) -> float:
    """Estimate a standard error by leaving out groups of stars, whose values are not independent.

    Parameters
    ----------
    statistic
        Figure of some rows.
    star
        Star that each row belongs to, shape ``(n,)``; every 25th number makes a group.

    Returns
    -------
    error
        NaN of fewer than three groups.
    """
    group = star % _N_GROUPS
    present = np.unique(group)
    if len(present) < 3:
        return math.nan
    values = np.array([statistic(np.flatnonzero(group != left_out)) for left_out in present])
    n = len(values)
    return float(np.sqrt((n - 1.0) / n * np.sum((values - np.mean(values)) ** 2)))


def _spread(sample: FloatArray) -> float:
    """Take the standard deviation; 0 of a single value."""
    return float(np.std(sample, ddof=1)) if len(sample) > 1 else 0.0
