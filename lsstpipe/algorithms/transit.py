"""Transits of a planet: the model of Mandel & Agol and its fit to a light curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from lsstpipe.errors import AlgorithmError

FloatArray = npt.NDArray[np.float64]

_N_NODES = 24
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(_N_NODES)
_THETA = 0.5 * np.pi * (_NODES + 1.0)
_COSINE = np.cos(_THETA)
_JACOBIAN = 0.5 * np.pi * _WEIGHTS * np.sin(_THETA)
_MIN_DEPTH_OF_SHAPE = 1e-4
_MAX_DEPTH_OF_SHAPE = 0.25
_N_GRID = 25
_START_WIDTHS = (-1.5, 0.0, 1.5)
"""Durations that a fit starts from, in widths of the prior."""


@dataclass(frozen=True, slots=True)
class TransitPrior:
    """What is known of a transit before its light curve is seen.

    Attributes
    ----------
    duration_h, duration_err_h
        Time from first to fourth contact, and how well it is known; the fit is free within it.
    mid_mjd, mid_err_d
        Middle of the transit and how well it is known; NaN and infinity where it is not.
    impact
        Closest approach of the centres in radii of the star, held fixed.
    limb_darkening
        Coefficients ``(u1, u2)`` of the quadratic law, held fixed.
    """

    duration_h: float
    duration_err_h: float
    mid_mjd: float = float("nan")
    mid_err_d: float = float("inf")
    impact: float = 0.3
    limb_darkening: tuple[float, float] = (0.4, 0.25)


@dataclass(frozen=True, slots=True)
class TransitFit:
    """A transit fitted to a light curve.

    Attributes
    ----------
    depth, depth_err
        Deficit of flux at mid-transit relative to the baseline, and its standard error: the larger
        of the one from the covariance and the one from the permuted residuals.
    depth_err_covariance, depth_err_permutation
        Those two.
    mid_mjd, mid_err_d
        Middle of the transit, in the times of the light curve, and its standard error in days.
    duration_h, duration_err_h
        First to fourth contact, and its standard error.
    radius_ratio
        Radius of the planet over that of the star that belongs to the depth.
    model, baseline, residual
        At each point: the whole model, the model without the transit, and flux minus model.
    is_out
        Points before first or after fourth contact.
    scatter_out, scatter_out_err
        Standard deviation of the points out of transit about the model, and its standard error.
    chi2, n_free
        Sum of squared residuals in units of the given errors; number of free parameters.
    """

    depth: float
    depth_err: float
    depth_err_covariance: float
    depth_err_permutation: float
    mid_mjd: float
    mid_err_d: float
    duration_h: float
    duration_err_h: float
    radius_ratio: float
    model: FloatArray
    baseline: FloatArray
    residual: FloatArray
    is_out: npt.NDArray[np.bool_]
    scatter_out: float
    scatter_out_err: float
    chi2: float
    n_free: int


def occulted_flux(
    separation: npt.ArrayLike, radius_ratio: float, limb_darkening: tuple[float, float]
) -> FloatArray:
    """Compute the share of a star's light that a dark disc takes away.

    The integral over the star's radius of the arc that the disc covers, weighted by the quadratic
    limb-darkening law; exact for any size of disc (Mandel & Agol 2002, section 2, as one integral
    in place of elliptic functions).

    Parameters
    ----------
    separation
        Distances of the centres in radii of the star, shape ``(n,)``, at least zero.
    radius_ratio
        Radius of the disc in radii of the star.
    limb_darkening
        Coefficients ``(u1, u2)``.

    Returns
    -------
    occulted
        Fraction of the light that is blocked, shape ``(n,)``.
    """
    z = np.atleast_1d(np.asarray(separation, dtype=np.float64))[:, None]
    low, high = np.abs(z - radius_ratio), np.minimum(1.0, z + radius_ratio)
    inside = np.clip(radius_ratio - z, 0.0, 1.0)
    low = np.minimum(low, high)
    # The cosine map takes the square-root ends of the integrand away.
    r = 0.5 * (high + low) - 0.5 * (high - low) * _COSINE
    cosine = (r**2 + z**2 - radius_ratio**2) / np.maximum(2.0 * r * z, 1e-300)
    arc = np.arccos(np.clip(cosine, -1.0, 1.0)) / np.pi
    jacobian = 0.5 * (high - low) * _JACOBIAN
    partly = np.sum(2.0 * r * arc * _intensity(r, limb_darkening) * jacobian, axis=1)
    wholly = _light_within(inside[:, 0], limb_darkening)
    total = float(_light_within(np.ones(1), limb_darkening)[0])
    result: FloatArray = (partly + wholly) / total
    return result


def _intensity(r: FloatArray, limb_darkening: tuple[float, float]) -> FloatArray:
    """Evaluate the quadratic limb-darkening law at radii of the star."""
    u1, u2 = limb_darkening
    dim = 1.0 - np.sqrt(np.clip(1.0 - r**2, 0.0, None))
    result: FloatArray = 1.0 - u1 * dim - u2 * dim**2
    return result


def _light_within(r: FloatArray, limb_darkening: tuple[float, float]) -> FloatArray:
    """Integrate the limb-darkening law over a central disc, in closed form, in units of pi."""
    u1, u2 = limb_darkening
    mu = np.sqrt(np.clip(1.0 - r**2, 0.0, None))
    linear = r**2 - 2.0 / 3.0 * (1.0 - mu**3)
    square = r**2 - 4.0 / 3.0 * (1.0 - mu**3) + 0.5 * (1.0 - mu**4)
    result: FloatArray = r**2 - u1 * linear - u2 * square
    return result


def radius_ratio_of_depth(depth: float, prior: TransitPrior) -> float:
    """Find the radius of the planet that makes a depth, for a small planet.

    Parameters
    ----------
    depth
        Deficit at mid-transit; clipped to what a planet can do.
    prior
        Supplies impact parameter and limb darkening.
    """
    depth = float(np.clip(abs(depth), _MIN_DEPTH_OF_SHAPE, _MAX_DEPTH_OF_SHAPE))
    mean = float(_light_within(np.ones(1), prior.limb_darkening)[0])
    centre = float(_intensity(np.array([prior.impact]), prior.limb_darkening)[0])
    return float(np.sqrt(depth * mean / centre))


def transit_shape(
    offset_h: npt.ArrayLike, duration_h: float, depth: float, prior: TransitPrior
) -> FloatArray:
    """Evaluate the shape of a transit: 0 outside, 1 at mid-transit.

    Parameters
    ----------
    offset_h
        Times from mid-transit in hours, shape ``(n,)``.
    duration_h
        First to fourth contact, hours.
    depth
        Deficit at mid-transit; it sets the size of the planet and so the length of ingress.
    prior
        Supplies impact parameter and limb darkening.

    Returns
    -------
    shape
        Deficit in units of that at mid-transit, shape ``(n,)``.
    """
    ratio = radius_ratio_of_depth(depth, prior)
    phase = 2.0 * np.asarray(offset_h, dtype=np.float64) / duration_h
    separation = np.sqrt(prior.impact**2 + phase**2 * ((1.0 + ratio) ** 2 - prior.impact**2))
    deficit = occulted_flux(separation, ratio, prior.limb_darkening)
    centre = occulted_flux([prior.impact], ratio, prior.limb_darkening)[0]
    result: FloatArray = np.where(separation < 1.0 + ratio, deficit, 0.0) / centre
    return result


def fit_depth(
    flux: FloatArray, flux_err: FloatArray, shape: FloatArray, trends: FloatArray
) -> tuple[float, float]:
    """Fit the depth of a transit of known shape: a linear problem.

    Parameters
    ----------
    flux, flux_err
        Relative flux and its standard error, shape ``(n,)``.
    shape
        What `transit_shape` gives at the points.
    trends
        Baseline terms besides the constant, shape ``(n, m)``.

    Returns
    -------
    depth, depth_err
        Deficit relative to the baseline, and its standard error, scaled up where the points scatter
        more than their errors say.
    """
    design = np.column_stack([np.ones_like(flux), -shape, trends]) / flux_err[:, None]
    covariance = np.linalg.inv(design.T @ design)
    solution = covariance @ (design.T @ (flux / flux_err))
    chi2 = float(np.sum((flux / flux_err - design @ solution) ** 2))
    scale = max(1.0, chi2 / max(1, len(flux) - design.shape[1]))
    return float(solution[1] / solution[0]), float(np.sqrt(covariance[1, 1] * scale) / solution[0])


def fit_transit(
    mjd: FloatArray,
    flux: FloatArray,
    flux_err: FloatArray,
    prior: TransitPrior,
    trends: FloatArray | None = None,
) -> TransitFit:
    """Fit a transit on a linear baseline.

    Free are depth, mid-time, duration (within its prior), level and one coefficient a trend.

    Parameters
    ----------
    mjd
        Times in days, shape ``(n,)``.
    flux, flux_err
        Relative flux and its standard error, shape ``(n,)``.
    prior
        What is known beforehand.
    trends
        Baseline terms besides the constant, shape ``(n, m)``, each of mean about zero and size
        about one; linear in time where None.

    Raises
    ------
    AlgorithmError
        If there are too few points.
    """
    hours = 24.0 * (mjd - mjd[0]) if len(mjd) else np.empty(0)
    if trends is None:
        half = max(0.5 * float(np.ptp(hours)), 1e-9) if len(hours) else 1.0
        trends = ((hours - np.mean(hours)) / half)[:, None] if len(hours) else np.empty((0, 1))
    problem = _Problem(hours, flux, flux_err, trends, prior, _prior_mid(mjd, prior))
    if len(mjd) <= problem.n_free + 1:
        raise AlgorithmError(
            f"A transit needs more than {problem.n_free + 1} points, got {len(mjd)}."
        )
    best = problem.solve_from_all_starts()
    model, baseline = problem.evaluate(best)
    residual = flux - model
    jacobian = problem.jacobian(best)
    covariance = np.linalg.pinv(jacobian.T @ jacobian)
    chi2 = float(np.sum((residual / flux_err) ** 2))
    error = np.sqrt(np.diag(covariance) * max(1.0, chi2 / (len(mjd) - problem.n_free)))
    err_permutation = _permute_residuals(covariance @ jacobian.T, residual / flux_err, error.size)
    is_out = np.abs(hours - best[1]) >= 0.5 * best[2]
    dof_out = max(1, int(np.sum(is_out)) - 1 - trends.shape[1])
    scatter = float(np.sqrt(np.sum(residual[is_out] ** 2) / dof_out)) if is_out.any() else np.nan
    return TransitFit(
        depth=float(best[0]),
        depth_err=max(float(error[0]), err_permutation),
        depth_err_covariance=float(error[0]),
        depth_err_permutation=err_permutation,
        mid_mjd=float(mjd[0] + best[1] / 24.0),
        mid_err_d=float(error[1] / 24.0),
        duration_h=float(best[2]),
        duration_err_h=float(error[2]),
        radius_ratio=radius_ratio_of_depth(float(best[0]), prior),
        model=model,
        baseline=baseline,
        residual=residual,
        is_out=is_out,
        scatter_out=scatter,
        scatter_out_err=float(scatter / np.sqrt(2.0 * dof_out)),
        chi2=chi2,
        n_free=problem.n_free,
    )


def _prior_mid(mjd: FloatArray, prior: TransitPrior) -> tuple[float, float]:
    """Give the prior of the mid-time in hours after the first point: value, standard error."""
    if not np.isfinite(prior.mid_mjd) or not len(mjd):
        return 0.0, float("inf")
    return 24.0 * (prior.mid_mjd - float(mjd[0])), 24.0 * prior.mid_err_d


def _permute_residuals(estimator: FloatArray, residual: FloatArray, n_free: int) -> float:
    """Give the standard error of the depth from residuals shifted along the curve.

    Shifts keep the correlation from point to point, which a covariance of independent points does
    not know (the "prayer bead" of Winn et al. 2008). The fit is linearised about its solution.
    """
    n = len(residual)
    moved = [float(estimator[0, :n] @ np.roll(residual, shift)) for shift in range(1, n)]
    return float(np.std(moved) * np.sqrt(n / (n - n_free)))


@dataclass(frozen=True, slots=True)
class _Problem:
    """The least-squares problem: depth, mid-time (h), duration (h), level, trends."""

    hours: FloatArray
    flux: FloatArray
    flux_err: FloatArray
    trends: FloatArray
    prior: TransitPrior
    mid: tuple[float, float]

    @property
    def n_free(self) -> int:
        return 4 + int(self.trends.shape[1])

    def evaluate(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Give the whole model and the baseline alone."""
        depth, mid, duration, level = parameters[:4]
        baseline = level + self.trends @ parameters[4:]
        shape = transit_shape(self.hours - mid, duration, depth, self.prior)
        return baseline * (1.0 - depth * shape), baseline

    def residuals(self, parameters: FloatArray, flux: FloatArray) -> FloatArray:
        """Give the residuals of points and priors, each in units of its standard error."""
        points = (flux - self.evaluate(parameters)[0]) / self.flux_err
        duration = (parameters[2] - self.prior.duration_h) / self.prior.duration_err_h
        mid = (parameters[1] - self.mid[0]) / self.mid[1]
        return np.concatenate([points, [duration, mid]])

    def solve_from_all_starts(self) -> FloatArray:
        """Take the best minimum: noise at ingress and egress makes several side by side."""
        width = self.prior.duration_err_h / self.prior.duration_h
        durations = self.prior.duration_h * np.exp(width * np.array(_START_WIDTHS))
        found = [self.solve(self.flux, self.guess(float(duration))) for duration in durations]
        return min(found, key=lambda x: float(np.sum(self.residuals(x, self.flux) ** 2)))

    def guess(self, duration: float) -> FloatArray:
        """Scan the mid-time with the depth solved linearly, and take the best."""
        if np.isfinite(self.mid[1]):
            grid = self.mid[0] + np.linspace(-2.0, 2.0, _N_GRID) * self.mid[1]
        else:
            grid = np.linspace(float(self.hours[0]), float(self.hours[-1]), _N_GRID)
        depth = 0.01
        best, best_chi2 = np.empty(0), np.inf
        for mid in grid:
            shape = transit_shape(self.hours - mid, duration, depth, self.prior)
            design = np.column_stack([-shape, np.ones_like(shape), self.trends])
            weighted = design / self.flux_err[:, None]
            solution = np.linalg.lstsq(weighted, self.flux / self.flux_err, rcond=None)[0]
            start = np.array([solution[0] / solution[1], mid, duration, *solution[1:]])
            chi2 = float(np.sum(self.residuals(start, self.flux) ** 2))
            if chi2 < best_chi2:
                best, best_chi2 = start, chi2
        return best

    def solve(self, flux: FloatArray, start: FloatArray) -> FloatArray:
        """Minimise from a start, the mid-time within the points."""
        low, high = np.full(self.n_free, -np.inf), np.full(self.n_free, np.inf)
        low[:3] = -0.5, float(self.hours[0]), 0.25 * self.prior.duration_h
        high[:3] = 0.5, float(self.hours[-1]), 4.0 * self.prior.duration_h
        if np.isfinite(self.mid[1]):
            low[1], high[1] = self.mid[0] - 10 * self.mid[1], self.mid[0] + 10 * self.mid[1]
        start = np.clip(start, low + 1e-9, high - 1e-9)
        scale = np.concatenate([[0.01, 0.1, 0.1], np.full(self.n_free - 3, 0.01)])
        found = least_squares(
            self.residuals, start, args=(flux,), bounds=(low, high), x_scale=scale
        )
        result: FloatArray = found.x
        return result

    def jacobian(self, parameters: FloatArray) -> FloatArray:
        """Differentiate the residuals by central differences."""
        step = np.concatenate([[1e-5, 1e-3, 1e-3], np.full(self.n_free - 3, 1e-6)])
        columns = []
        for index, size in enumerate(step):
            move = np.zeros(self.n_free)
            move[index] = size
            difference = self.residuals(parameters + move, self.flux) - self.residuals(
                parameters - move, self.flux
            )
            columns.append(difference / (2.0 * size))
        return np.column_stack(columns)
