"""Differential photometry: one star against an ensemble of constant field stars.

After Broeg, Fernandez & Neuhaeuser (2005): the ensemble weighs each star by the inverse of its
variance, which is that of its errors and of a jitter found from the star's own curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.errors import AlgorithmError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FluxMatrix:
    """Fluxes of stars on visits, in the order of time.

    Attributes
    ----------
    object_id
        Stars, ascending, shape ``(n_star,)``.
    visit, mjd
        Visits and their times, shape ``(n_visit,)``.
    flux, flux_err
        One unit, NaN where there is none, shape ``(n_star, n_visit)``.
    good
        Where the flux can be used, shape ``(n_star, n_visit)``.
    """

    object_id: IntArray
    visit: IntArray
    mjd: FloatArray
    flux: FloatArray
    flux_err: FloatArray
    good: BoolArray

    def row(self, object_id: int) -> int:
        """Find the row of a star.

        Raises
        ------
        AlgorithmError
            If it was not measured.
        """
        found = np.flatnonzero(self.object_id == object_id)
        if not len(found):
            raise AlgorithmError(f"There is no flux of object {object_id}.")
        return int(found[0])


@dataclass(frozen=True, slots=True)
class EnsembleConfig:
    """How the comparison stars are chosen.

    Attributes
    ----------
    min_flux_ratio, max_flux_ratio
        Range of their median flux in units of the target's.
    min_n_star, max_n_star
        Fewest that make an ensemble; the brightest are taken where there are more than the most.
    max_excess
        A star is variable whose scatter is more than this many times what its errors and the
        ensemble's typical jitter predict.
    max_iterations
        Rounds of rejection.
    """

    min_flux_ratio: float = 0.3
    max_flux_ratio: float = 20.0
    min_n_star: int = 3
    max_n_star: int = 60
    max_excess: float = 2.0
    max_iterations: int = 20


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Comparison stars and their weights.

    Attributes
    ----------
    rows
        Rows of the flux matrix, shape ``(n,)``.
    weight
        Weights of their relative fluxes, sum 1, shape ``(n,)``.
    scatter
        Standard deviation of each star's curve against the others, relative, shape ``(n,)``.
    jitter
        Typical scatter beyond the errors, relative.
    n_candidate, n_variable
        Stars that were looked at, and those that were rejected as variable.
    """

    rows: IntArray
    weight: FloatArray
    scatter: FloatArray
    jitter: float
    n_candidate: int
    n_variable: int


@dataclass(frozen=True, slots=True)
class LightCurve:
    """Relative flux of one star, in the order of time.

    Attributes
    ----------
    mjd, visit
        Times and visits, shape ``(n,)``.
    flux, flux_err
        Flux over that of the ensemble, median 1, and its standard error: noise of both and the
        jitter of the ensemble, shape ``(n,)``.
    """

    mjd: FloatArray
    visit: IntArray
    flux: FloatArray
    flux_err: FloatArray


def arrange_fluxes(
    star: tuple[npt.ArrayLike, npt.ArrayLike],
    mjd: FloatArray,
    flux: FloatArray,
    flux_err: FloatArray,
    good: BoolArray,
) -> FluxMatrix:
    """Arrange rows of a table into a matrix of stars and visits.

    Parameters
    ----------
    star
        Object ids and visits of the rows, each of shape ``(n,)``.
    mjd, flux, flux_err, good
        Time, flux, its standard error and whether it can be used, shape ``(n,)``.
    """
    object_id, rows = np.unique(np.asarray(star[0], dtype=np.int64), return_inverse=True)
    visit, columns = np.unique(np.asarray(star[1], dtype=np.int64), return_inverse=True)
    times = np.full(len(visit), np.nan)
    times[columns] = mjd
    shape = (len(object_id), len(visit))
    values, errors, usable = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, bool)
    values[rows, columns], errors[rows, columns], usable[rows, columns] = flux, flux_err, good
    usable &= np.isfinite(values) & np.isfinite(errors) & (errors > 0)
    order = np.argsort(times, kind="stable")
    return FluxMatrix(
        object_id, visit[order], times[order], values[:, order], errors[:, order], usable[:, order]
    )


def choose_ensemble(matrix: FluxMatrix, target: int, config: EnsembleConfig) -> Ensemble:
    """Choose constant comparison stars for a target, and weigh them.

    Candidates have a usable flux on every visit on which the target has one, and are about as
    bright as it or brighter. Each is judged against the ensemble without itself; the ensemble is
    made anew until no star enters or leaves it.

    Parameters
    ----------
    matrix
        Fluxes.
    target
        Row of the target, never part of the ensemble.
    config
        How to choose.

    Raises
    ------
    AlgorithmError
        If the target has no flux or too few stars remain.
    """
    visits = matrix.good[target]
    if not visits.any():
        raise AlgorithmError("The target has no usable flux on any visit.")
    candidates = _candidates(matrix, target, visits, config)
    if len(candidates) < config.min_n_star:
        raise AlgorithmError(
            f"An ensemble needs {config.min_n_star} comparison stars, found {len(candidates)}."
        )
    flux, error = _relative(matrix, candidates, visits)
    keep, jitter = np.ones(len(candidates), bool), 0.0
    weight, scatter = _weigh(flux, error, keep, np.zeros(len(candidates)))
    for _ in range(config.max_iterations):
        weight, scatter = _converge_weights(flux, error, keep)
        photon = np.sqrt(np.mean(error**2, axis=1))
        jitter = float(np.sqrt(max(0.0, np.median((scatter**2 - photon**2)[keep]))))
        constant = scatter <= config.max_excess * np.hypot(photon, jitter)
        if np.array_equal(constant, keep):
            break
        keep = constant
        if int(keep.sum()) < config.min_n_star:
            raise AlgorithmError(
                f"An ensemble needs {config.min_n_star} comparison stars; of {len(candidates)} "
                f"candidates {int(keep.sum())} are constant."
            )
    weight, scatter = _converge_weights(flux, error, keep)
    return Ensemble(
        candidates[keep],
        weight[keep] / weight[keep].sum(),
        scatter[keep],
        jitter,
        len(candidates),
        int(np.sum(~keep)),
    )


def _candidates(
    matrix: FluxMatrix, target: int, visits: BoolArray, config: EnsembleConfig
) -> IntArray:
    """List stars of like brightness with a flux whenever the target has one, brightest first."""
    whole = np.all(matrix.good[:, visits] & (matrix.flux[:, visits] > 0), axis=1)
    whole[target] = False
    rows: IntArray = np.flatnonzero(whole)
    ratio = np.median(matrix.flux[rows][:, visits], axis=1) / np.median(matrix.flux[target, visits])
    inside = (ratio >= config.min_flux_ratio) & (ratio <= config.max_flux_ratio)
    order = np.argsort(-ratio[inside], kind="stable")[: config.max_n_star]
    chosen: IntArray = rows[inside][order]
    return chosen


def _relative(
    matrix: FluxMatrix, rows: IntArray, visits: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Divide the fluxes of some stars by their medians."""
    flux, error = matrix.flux[rows][:, visits], matrix.flux_err[rows][:, visits]
    median = np.median(flux, axis=1, keepdims=True)
    return flux / median, error / median


def _weigh(
    flux: FloatArray, error: FloatArray, keep: BoolArray, jitter: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weigh the stars, and measure the scatter of each against the others."""
    weight = np.where(keep, 1.0 / (np.mean(error**2, axis=1) + jitter**2), 0.0)
    # Leave-one-out: a star in its own reference would look quieter than it is.
    others = weight @ flux - weight[:, None] * flux
    curve = flux / (others / (weight.sum() - weight)[:, None])
    curve /= np.median(curve, axis=1, keepdims=True)
    return weight, np.std(curve, axis=1, ddof=1)


def _converge_weights(
    flux: FloatArray, error: FloatArray, keep: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Iterate weights and jitters, with no star lighter in jitter than the typical one."""
    jitter = np.zeros(len(flux))
    for _ in range(5):
        weight, scatter = _weigh(flux, error, keep, jitter)
        excess = np.clip(scatter**2 - np.mean(error**2, axis=1), 0.0, None)
        typical = float(np.median(excess[keep]))
        jitter = np.sqrt(np.maximum(excess, typical))
    return weight, scatter


def make_lightcurve(matrix: FluxMatrix, star: int, ensemble: Ensemble) -> LightCurve:
    """Divide a star by the ensemble, leaving the star itself out of it.

    Parameters
    ----------
    matrix
        Fluxes.
    star
        Row of the star: the target or any other.
    ensemble
        Comparison stars.

    Returns
    -------
    lightcurve
        Points at the visits on which the star and every comparison star have a usable flux.

    Raises
    ------
    AlgorithmError
        If there is none.
    """
    others = ensemble.rows != star
    rows, weight = ensemble.rows[others], ensemble.weight[others]
    visits = matrix.good[star] & np.all(matrix.good[rows], axis=0)
    if not visits.any() or not len(rows):
        raise AlgorithmError("The star and its comparison stars share no visit.")
    weight = weight / weight.sum()
    flux, error = _relative(matrix, rows, visits)
    reference = weight @ flux
    reference_err = np.sqrt(weight**2 @ error**2)
    own = matrix.flux[star, visits]
    curve = own / reference
    level = float(np.median(curve))
    noise = np.hypot(matrix.flux_err[star, visits] / own, reference_err / reference)
    relative_err = np.hypot(noise, ensemble.jitter)
    return LightCurve(
        matrix.mjd[visits],
        matrix.visit[visits],
        curve / level,
        np.abs(curve / level * relative_err),
    )
