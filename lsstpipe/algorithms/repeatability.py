"""Photometric repeatability: how well constant stars repeat, and what noise does not explain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special, stats

from lsstpipe.algorithms.star_sample import StarSample

FloatArray = npt.NDArray[np.float64]

MMAG_PER_RELATIVE = 2500.0 / np.log(10.0)
"""Millimagnitudes per relative change of flux, for small changes."""

_N_BOOTSTRAP = 400


@dataclass(frozen=True, slots=True)
class Repeatability:
    """Scatter of each star over the visits.

    Attributes
    ----------
    flux
        Median flux, shape ``(n_star,)``.
    rms_mmag
        Standard deviation of the magnitudes, mmag, shape ``(n_star,)``.
    expected_mmag
        What the flux errors predict, mmag, shape ``(n_star,)``.
    n
        Number of visits, shape ``(n_star,)``.
    """

    flux: FloatArray
    rms_mmag: FloatArray
    expected_mmag: FloatArray
    n: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its standard error and the size of the sample behind it."""

    value: float
    error: float
    n: int


def measure_repeatability(
    flux: FloatArray, flux_err: FloatArray, good: npt.NDArray[np.bool_]
) -> Repeatability:
    """Measure the scatter of each star over its visits.

    Parameters
    ----------
    flux, flux_err
        Fluxes and standard errors, shape ``(n_star, n_visit)``.
    good
        Which of them count, same shape.

    Returns
    -------
    repeatability
        One entry a star; NaN where fewer than two fluxes count or the median is not positive.
    """
    n = np.sum(good, axis=1)
    usable = n >= 2
    median, rms, expected = (np.full(len(flux), np.nan) for _ in range(3))
    values = np.where(good, flux, np.nan)
    median[usable] = np.nanmedian(values[usable], axis=1)
    usable &= median > 0
    relative = values[usable] / median[usable, None]
    rms[usable] = MMAG_PER_RELATIVE * np.nanstd(relative, axis=1, ddof=1)
    errors = np.where(good, flux_err, np.nan)[usable] / median[usable, None]
    expected[usable] = MMAG_PER_RELATIVE * np.sqrt(np.nanmean(errors**2, axis=1))
    return Repeatability(median, rms, expected, n.astype(np.int64))


def systematic_floor(
    rms_mmag: FloatArray,
    expected_mmag: FloatArray,
    n: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> Estimate:
    """Estimate the scatter of bright stars that their errors do not explain.

    The median over the stars of variance minus expected variance, each sample variance first freed
    from the skewness of its chi-square distribution; a few variable stars do not move it.

    Parameters
    ----------
    rms_mmag, expected_mmag, n
        Scatter, expected scatter and number of visits of each bright star, shape ``(n_star,)``.
    rng
        For the bootstrap over the stars.

    Returns
    -------
    floor
        In mmag; 0 where the noise explains all. NaN where there is no star.
    """
    use = np.isfinite(rms_mmag) & np.isfinite(expected_mmag) & (n >= 2)
    if not use.any():
        return Estimate(float("nan"), float("nan"), 0)
    dof = n[use] - 1.0
    excess = rms_mmag[use] ** 2 * dof / stats.chi2.median(dof) - expected_mmag[use] ** 2
    floor = float(np.sqrt(max(0.0, float(np.median(excess)))))
    draws = rng.integers(0, len(excess), (_N_BOOTSTRAP, len(excess)))
    resampled = np.sqrt(np.clip(np.median(excess[draws], axis=1), 0.0, None))
    return Estimate(floor, float(np.std(resampled)), len(excess))


def bootstrap_median(values: FloatArray, rng: np.random.Generator) -> Estimate:
    """Take the median of a sample with its standard error.

    Parameters
    ----------
    values
        The sample, shape ``(n,)``; values that are not finite are left out.
    rng
        For the bootstrap.
    """
    sample = values[np.isfinite(values)]
    if not len(sample):
        return Estimate(float("nan"), float("nan"), 0)
    draws = rng.integers(0, len(sample), (_N_BOOTSTRAP, len(sample)))
    error = float(np.std(np.median(sample[draws], axis=1)))
    return Estimate(float(np.median(sample)), error, len(sample))


def pull_width(
    flux: FloatArray,
    flux_err: FloatArray,
    good: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Estimate:
    """Measure the width of the distribution of (flux - mean) / error of constant stars.

    Parameters
    ----------
    flux, flux_err
        Fluxes and standard errors, shape ``(n_star, n_visit)``.
    good
        Which of them count, same shape.
    rng
        For the bootstrap over the stars.

    Returns
    -------
    width
        Half the distance of the 16th and 84th percentiles, each pull freed from its share in its
        own mean; 1 where the errors hold. Its ``n`` counts fluxes.
    """
    stars = np.sum(good, axis=1) >= 3
    if not stars.any():
        return Estimate(float("nan"), float("nan"), 0)
    weight = np.where(good[stars], 1.0 / np.where(good, flux_err, 1.0)[stars] ** 2, 0.0)
    values = np.where(good, flux, 0.0)[stars]
    total = weight.sum(axis=1, keepdims=True)
    mean = (weight * values).sum(axis=1, keepdims=True) / total
    with np.errstate(divide="ignore", invalid="ignore"):
        pull = (values - mean) / np.sqrt(1.0 / weight - 1.0 / total)
    pull[~good[stars]] = np.nan
    draws = rng.integers(0, len(pull), (_N_BOOTSTRAP // 4, len(pull)))
    widths = [_half_width(pull[draw]) for draw in draws]
    return Estimate(_half_width(pull), float(np.std(widths)), int(np.isfinite(pull).sum()))


def _half_width(values: FloatArray) -> float:
    """Take half the distance of the 16th and 84th percentiles."""
    low, high = np.nanpercentile(values, [15.865525, 84.134475])
    return float(0.5 * (high - low))


def magnitude_rms(sample: StarSample) -> FloatArray:
    """Measure the standard deviation of each star's magnitudes about their mean (LPM-17, PA1).

    Parameters
    ----------
    sample
        Sorted measurements.

    Returns
    -------
    rms_mmag
        With the number of measurements as denominator, mmag, shape ``(n_star,)``.
    """
    residual = magnitude_residuals(sample)
    square = np.bincount(sample.star, weights=residual**2, minlength=sample.n_star)
    result: FloatArray = np.sqrt(square / sample.count)
    return result


def magnitude_residuals(sample: StarSample) -> FloatArray:
    """Subtract each star's mean magnitude (LPM-17, PF1).

    Parameters
    ----------
    sample
        Sorted measurements.

    Returns
    -------
    residual_mmag
        Shape ``(n,)``.
    """
    mean = np.bincount(sample.star, weights=sample.mag, minlength=sample.n_star) / sample.count
    result: FloatArray = 1000.0 * (sample.mag - mean[sample.star])
    return result


@dataclass(frozen=True, slots=True, eq=False)
class PairDifferences:
    """Differences of all pairs of magnitudes of each star.

    Attributes
    ----------
    difference_mmag
        Absolute difference over the square root of two, the scatter about the unknown mean, shape
        ``(n_pair,)``.
    expected_mmag
        Its standard deviation as the errors of the fluxes predict it, same shape.
    weight
        One over the number of pairs of the star, same shape.
    star
        Number of the star, same shape.
    """

    difference_mmag: FloatArray
    expected_mmag: FloatArray
    weight: FloatArray
    star: npt.NDArray[np.int64]

    def expected_percentile(self, percent: float) -> float:
        """Predict what a share of the differences does not exceed, were there but normal errors.

        Parameters
        ----------
        percent
            Above 0 and below 100.

        Returns
        -------
        limit_mmag
            NaN without differences, or where the error of one is not known.
        """
        share, scale = self.weight / self.weight.sum(), np.sqrt(2.0) * self.expected_mmag
        if not (len(scale) and np.all((scale > 0.0) & np.isfinite(scale))):
            return float("nan")

        def excess(limit: float) -> float:
            return float(np.sum(share * special.erf(limit / scale))) - percent / 100.0

        return float(optimize.brentq(excess, 0.0, 10.0 * scale.max(), xtol=1e-6))


def pair_differences(sample: StarSample) -> PairDifferences:
    """Measure the differences of all pairs of magnitudes of each star (LPM-17, PA2).

    The requirement draws one pair a star at random; here each pair has the weight of its chance to
    be drawn, which is the limit of many draws.

    Parameters
    ----------
    sample
        Sorted measurements.
    """
    first, second = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for lag in range(1, int(sample.count.max(initial=0))):
        rows = np.arange(len(sample.star) - lag)
        rows = rows[sample.star[rows] == sample.star[rows + lag]]
        first.append(rows)
        second.append(rows + lag)
    a, b = np.concatenate(first), np.concatenate(second)
    n_pair = sample.count * (sample.count - 1) // 2
    return PairDifferences(
        1000.0 / np.sqrt(2.0) * np.abs(sample.mag[a] - sample.mag[b]),
        MMAG_PER_RELATIVE * np.sqrt(0.5 * (sample.snr[a] ** -2.0 + sample.snr[b] ** -2.0)),
        1.0 / n_pair[sample.star[a]],
        sample.star[a],
    )


def expected_rms(sample: StarSample) -> FloatArray:
    """Predict the scatter of each star's magnitudes from the errors of its fluxes.

    Parameters
    ----------
    sample
        Sorted measurements.

    Returns
    -------
    rms_mmag
        Shape ``(n_star,)``.
    """
    square = np.bincount(sample.star, weights=sample.snr**-2.0, minlength=sample.n_star)
    result: FloatArray = MMAG_PER_RELATIVE * np.sqrt(square / sample.count)
    return result


def weighted_percentile(values: FloatArray, weights: FloatArray, percent: float) -> float:
    """Find the value that a share of the weights does not exceed; NaN of no values.

    Parameters
    ----------
    values, weights
        The sample, shape ``(n,)``.
    percent
        From 0 to 100.
    """
    if not len(values):
        return float("nan")
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    place = np.searchsorted(total, percent / 100.0 * total[-1])
    return float(values[order[min(int(place), len(order) - 1)]])
