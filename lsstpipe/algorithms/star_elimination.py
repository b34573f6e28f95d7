"""Least squares over calibration parameters and the values of the stars that they share.

Each observation says ``value + design . parameters = value of its star``. A star's value is the
weighted mean of what its observations say, so the stars can be eliminated before anything is
solved: what is left is one small system for the parameters, whatever the count of stars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import splu

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_HASH_INCREMENT = 0x9E3779B97F4A7C15
_HASH_FACTORS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


@dataclass(frozen=True)
class StarModel:
    """The observations as linear equations; arrays over observations unless said otherwise."""

    design: csr_array
    """Derivatives of the corrected value by the parameters, shape ``(n, n_parameters)``."""
    value: FloatArray
    """What was observed, before correction."""
    star: IntArray
    """Number of the star."""
    reference_value: FloatArray
    """Value that a catalogue gives, shape ``(n_stars,)``; finite where the weight is 0."""
    reference_weight: FloatArray
    """Inverse variance of `reference_value`, shape ``(n_stars,)``."""
    prior_weight: FloatArray
    """Inverse variance of each parameter about 0, shape ``(n_parameters,)``; positive."""


@dataclass(frozen=True)
class StarSolution:
    """The solution of a `StarModel`."""

    parameters: FloatArray
    """Calibration parameters."""
    covariance: FloatArray
    """Covariance of the first of them, as many as asked for."""
    star_value: FloatArray
    """Weighted mean of each star; NaN where no weight remains."""
    star_weight: FloatArray
    """Inverse variance of `star_value` for exact parameters."""
    residual: FloatArray
    """Corrected value minus the star's value, of every observation."""


def solve_star_model(
    model: StarModel, *, weight: FloatArray, fitted: BoolArray, n_covariance: int = 0
) -> StarSolution:
    """Solve for the parameters and the stars.

    Parameters
    ----------
    model
        The equations.
    weight
        Inverse variance of each observation; 0 leaves it out of everything.
    fitted
        Which stars shape the parameters, shape ``(n_stars,)``; the others are only evaluated.
    n_covariance
        For how many parameters, counted from the first, the covariance is wanted.

    Returns
    -------
    solution
        Parameters, stars and residuals.
    """
    n_stars = len(model.reference_value)
    fit_weight = np.where(fitted[model.star], weight, 0.0)
    star_weight = _sum_by_star(model.star, fit_weight, n_stars)
    star_weight += np.where(fitted, model.reference_weight, 0.0)
    inverse = np.divide(1.0, star_weight, out=np.zeros(n_stars), where=star_weight > 0)
    n = len(model.star)
    weighted = diags_array(fit_weight) @ model.design
    indicator = csr_array((np.ones(n), (np.arange(n), model.star)), shape=(n, n_stars))
    coupling = csr_array(weighted.T @ indicator)
    normal = weighted.T @ model.design + diags_array(model.prior_weight)
    normal = normal - coupling @ diags_array(inverse) @ coupling.T
    known = _sum_by_star(model.star, fit_weight * model.value, n_stars)
    known += np.where(fitted, model.reference_weight * model.reference_value, 0.0)
    right = coupling @ (inverse * known) - weighted.T @ model.value
    factors = splu(normal.tocsc())
    parameters = np.asarray(factors.solve(right), dtype=np.float64)
    covariance = np.empty((0, 0))
    if n_covariance > 0:
        columns = factors.solve(np.eye(len(right), n_covariance))
        covariance = np.asarray(columns[:n_covariance], dtype=np.float64)
    return _evaluate(model, parameters, covariance, weight)


def _evaluate(
    model: StarModel, parameters: FloatArray, covariance: FloatArray, weight: FloatArray
) -> StarSolution:
    n_stars = len(model.reference_value)
    corrected = model.value + model.design @ parameters
    star_weight = _sum_by_star(model.star, weight, n_stars) + model.reference_weight
    total = _sum_by_star(model.star, weight * corrected, n_stars)
    total += model.reference_weight * model.reference_value
    star_value = np.divide(total, star_weight, out=np.full(n_stars, np.nan), where=star_weight > 0)
    residual = np.asarray(corrected - star_value[model.star], dtype=np.float64)
    return StarSolution(parameters, covariance, star_value, star_weight, residual)


def _sum_by_star(star: IntArray, values: FloatArray, n_stars: int) -> FloatArray:
    return np.bincount(star, weights=values, minlength=n_stars).astype(np.float64)


def reserve_stars(n_stars: int, *, fraction: float, seed: int) -> BoolArray:
    """Choose the stars that are kept out of a fit, by a hash of their numbers.

    The choice for a star does not depend on how many other stars there are (SplitMix64, Steele et
    al. 2014).

    Parameters
    ----------
    n_stars
        Count of stars.
    fraction
        Share to reserve, in [0, 1].
    seed
        Another seed chooses other stars.

    Returns
    -------
    reserved
        Which stars are reserved, shape ``(n_stars,)``.
    """
    state = np.arange(1, n_stars + 1, dtype=np.uint64) + np.uint64(seed << 32 & (2**64 - 1))
    state *= np.uint64(_HASH_INCREMENT)
    for shift, factor in _HASH_FACTORS:
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    state ^= state >> np.uint64(31)
    return np.asarray(state >> np.uint64(11)) < fraction * 2.0**53


def without_worst(
    size: FloatArray, star: IntArray, used: BoolArray, clip_sigma: float
) -> BoolArray:
    """Leave out the worst observation of each star that has an outlier.

    One outlier pulls the mean of its star and makes the good observations look bad, so only the
    worst goes before the next solution.

    Parameters
    ----------
    size
        Residuals in units of their errors, of either sign.
    star
        Star of each observation.
    used
        Which observations are in the fit.
    clip_sigma
        Largest size, in units of the robust scale.

    Returns
    -------
    kept
        Which observations stay; a part of ``used``.
    """
    outlier = np.flatnonzero(used & ~usual(size, used, clip_sigma))
    badness = np.where(np.isfinite(size[outlier]), np.abs(size[outlier]), np.inf)
    order = np.lexsort((-badness, star[outlier]))
    _, first = np.unique(star[outlier][order], return_index=True)
    kept = used.copy()
    kept[outlier[order[first]]] = False
    return kept


def usual(size: FloatArray, used: BoolArray, clip_sigma: float) -> BoolArray:
    """Tell which normalised residuals are not outliers.

    Parameters
    ----------
    size
        Residuals in units of their errors, of either sign.
    used
        Which of them set the scale.
    clip_sigma
        Largest size, in units of the robust scale; the scale is never taken below 1.

    Returns
    -------
    usual
        True where the size is not beyond the limit; False for NaN.
    """
    known = np.abs(size[used & np.isfinite(size)])
    scale = max(1.4826 * float(np.median(known)), 1.0) if len(known) else 1.0
    return np.asarray(np.abs(size) <= clip_sigma * scale)
