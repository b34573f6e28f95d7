"""Zero points and illumination of all visits at once, from the stars that they share.

The model of Padmanabhan et al. (2008), section 3: a star has one magnitude; a visit adds a zero
point and a smooth term over the focal plane; one more smooth term belongs to the camera.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre
from scipy.sparse import csr_array, hstack

from lsstpipe.algorithms.photometry import ZeroPoint, ZeroPointConfig, fit_zero_point_mag
from lsstpipe.algorithms.star_elimination import (
    StarModel,
    StarSolution,
    reserve_stars,
    solve_star_model,
    without_worst,
)
from lsstpipe.errors import AlgorithmError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_MAX_CLIPS = 50
_MAG_PER_RELATIVE_FLUX = 2.5 / np.log(10.0)


@dataclass(frozen=True)
class PhotometricObservations:
    """Fluxes of stars in visits; arrays over observations unless said otherwise."""

    visit: IntArray
    """Number of the visit, from 0."""
    star: IntArray
    """Number of the star, from 0."""
    y: FloatArray
    """Focal-plane position, pixels."""
    x: FloatArray
    """Focal-plane position, pixels."""
    flux: FloatArray
    """Flux divided by the exposure time, any one unit; only positive ones are used."""
    flux_err: FloatArray
    """Error of the flux."""
    reference_mag: FloatArray
    """Catalogue magnitude of each star, shape ``(n_stars,)``; NaN where there is none."""
    shape: tuple[float, float]
    """Size (y, x) of the focal plane, pixels."""
    detector: IntArray | None = None
    """Number of the detector of each observation, from 0; None for a lone one."""
    reference_err_mag: FloatArray | None = None
    """Error of each catalogue magnitude; None lets the catalogue set nothing but the mean."""

    @property
    def n_detectors(self) -> int:
        """Count of detectors."""
        return 1 if self.detector is None else int(self.detector.max(initial=0)) + 1

    @property
    def n_visits(self) -> int:
        """Count of visits."""
        return int(self.visit.max()) + 1 if len(self.visit) else 0

    @property
    def n_stars(self) -> int:
        """Count of stars."""
        return len(self.reference_mag)


@dataclass(frozen=True)
class JointPhotometryConfig:
    """How the joint photometric fit is made."""

    camera_order: int = 2
    """Degree of the smooth term that all visits share; 0 for none."""
    visit_order: int = 0
    """Degree of the smooth term of each visit; 0 for none."""
    detector_prior_mag: float = 0.05
    """Expected size of what all visits have in common on one of several detectors, mag."""
    pair_prior_mag: float = 0.003
    """Expected size of what one visit has on one of several detectors alone, mag."""
    camera_prior_mag: float = 0.02
    """Expected size of the coefficients of the shared term, mag."""
    visit_prior_mag: float = 0.01
    """Expected size of the coefficients of the visits' terms, mag."""
    err_floor_mag: float = 0.003
    """Error added in quadrature to that of each observation, mag."""
    max_err_mag: float = 0.05
    """Observations with larger errors do not shape the fit."""
    clip_sigma: float = 5.0
    """Observations that miss by more standard deviations are left out."""
    reserve_fraction: float = 0.2
    """Share of stars kept out of the fit to test it."""
    seed: int = 0
    """Chooses the reserved stars."""
    zero_point: ZeroPointConfig = field(default_factory=ZeroPointConfig)
    """The comparison with the catalogue."""


@dataclass(frozen=True)
class SmoothTerm:
    """A polynomial over the focal plane: products of Legendre polynomials, mean about 0."""

    coefficients: FloatArray
    """One for each product, by rising total degree, mag."""
    order: int
    """Highest total degree."""
    shape: tuple[float, float]
    """Size (y, x) of the focal plane, pixels."""

    def evaluate(self, *, y: npt.ArrayLike, x: npt.ArrayLike) -> FloatArray:
        """Evaluate the term.

        Parameters
        ----------
        y, x
            Focal-plane positions, pixels, one shape.

        Returns
        -------
        mag
            What must be added to a magnitude measured there, mag.
        """
        y, x = np.broadcast_arrays(np.asarray(y, np.float64), np.asarray(x, np.float64))
        basis = smooth_basis(y=y.ravel(), x=x.ravel(), order=self.order, shape=self.shape)
        return np.asarray((basis @ self.coefficients).reshape(y.shape), dtype=np.float64)


@dataclass(frozen=True)
class JointPhotometry:
    """Result of the joint fit. A magnitude is -2.5 log10(flux) + zero point + smooth terms."""

    zero_point_mag: FloatArray
    """Zero point of each visit, shape ``(n_visits,)``, mag; NaN for a visit without good stars."""
    zero_point_err_mag: FloatArray
    """Its error relative to the mean of the visits, mag."""
    offset_mag: FloatArray
    """What must be added on each detector, shape ``(n_visits, n_detectors)``, mag."""
    freedom: FloatArray
    """Posterior over prior standard deviation of each coefficient of the shared term: near 1 where
    the observations say nothing of it."""
    anchor: ZeroPoint
    """Comparison of the fitted stars with the catalogue."""
    camera_term: SmoothTerm
    """The smooth term that all visits share."""
    visit_terms: tuple[SmoothTerm, ...]
    """The smooth term of each visit."""
    star_mag: FloatArray
    """Mean magnitude of each star; NaN where no observation is good."""
    star_mag_err: FloatArray
    """Its error without that of the zero points, mag."""
    residual_mag: FloatArray
    """Calibrated magnitude minus the star's, of every observation."""
    err_mag: FloatArray
    """Error of every observation without the floor, mag."""
    used: BoolArray
    """Which observations make the means of the stars."""
    reserved: BoolArray
    """Which stars were kept out of the fit, shape ``(n_stars,)``."""


def fit_joint_photometry(
    observations: PhotometricObservations, config: JointPhotometryConfig
) -> JointPhotometry:
    """Fit zero points, smooth terms and star magnitudes to all observations.

    Parameters
    ----------
    observations
        Fluxes of stars in visits.
    config
        Orders, priors and clipping.

    Returns
    -------
    fit
        The calibration of each visit and what it leaves.

    Raises
    ------
    AlgorithmError
        No star is seen twice, or too few stars have catalogue magnitudes.
    """
    good = (observations.flux > 0) & (observations.flux_err > 0) & np.isfinite(observations.y)
    good &= np.isfinite(observations.flux) & np.isfinite(observations.x)
    flux = np.where(good, observations.flux, 1.0)
    err_mag = np.where(good, _MAG_PER_RELATIVE_FLUX * observations.flux_err / flux, np.nan)
    reserved = reserve_stars(
        observations.n_stars, fraction=config.reserve_fraction, seed=config.seed
    )
    precise = good & (err_mag < config.max_err_mag)
    if not np.any(np.bincount(observations.star[precise], minlength=1) > 1):
        raise AlgorithmError(
            f"No star has two observations with errors below {config.max_err_mag:g} mag: visits "
            "cannot be compared."
        )
    variance = np.where(good, err_mag, 1.0) ** 2 + config.err_floor_mag**2
    model = _model(observations, -2.5 * np.log10(flux), config)
    n_camera = config.camera_order * (config.camera_order + 3) // 2
    solve = partial(
        _solve_clipped,
        variance=variance,
        masks=(good, precise, ~reserved),
        clip_sigma=config.clip_sigma,
        n_covariance=observations.n_visits + n_camera,
    )
    solution, used = solve(model)
    anchor = _anchor(solution, observations, config)
    if observations.reference_err_mag is not None:
        # The catalogue also holds the slope over the focal plane, as well as its scatter allows.
        model = _with_reference(model, observations, anchor)
        solution, used = solve(model)
        anchor = _anchor(solution, observations, config)
    return _result(observations, config, (solution, used, reserved), anchor, err_mag)


def _anchor(
    solution: StarSolution, observations: PhotometricObservations, config: JointPhotometryConfig
) -> ZeroPoint:
    """Compare the fitted stars with the catalogue."""
    return fit_zero_point_mag(
        solution.star_value,
        1.0 / np.sqrt(np.maximum(solution.star_weight, 1e-12)),
        observations.reference_mag,
        config=config.zero_point,
    )


def _with_reference(
    model: StarModel, observations: PhotometricObservations, anchor: ZeroPoint
) -> StarModel:
    """Give the stars that agree with the catalogue its magnitudes as further observations."""
    own = observations.reference_err_mag
    error = np.hypot(0.0 if own is None else np.nan_to_num(own), anchor.scatter_mag)
    known = anchor.used & (error > 0)
    value = np.where(known, observations.reference_mag - anchor.zero_point_mag, 0.0)
    weight = np.where(known, 1.0 / np.where(known, error, 1.0) ** 2, 0.0)
    return replace(model, reference_value=value, reference_weight=weight)


def smooth_basis(
    *, y: FloatArray, x: FloatArray, order: int, shape: tuple[float, float]
) -> FloatArray:
    """Evaluate the products of Legendre polynomials of total degree 1 to ``order``.

    Parameters
    ----------
    y, x
        Focal-plane positions, pixels, shape ``(n,)``.
    order
        Highest total degree.
    shape
        Size (y, x) of the focal plane, pixels; its edges are at -1 and 1.

    Returns
    -------
    basis
        Shape ``(n, order * (order + 3) / 2)``.
    """
    on_x = legendre.legvander((2.0 * np.asarray(x) + 1.0) / shape[1] - 1.0, order)
    on_y = legendre.legvander((2.0 * np.asarray(y) + 1.0) / shape[0] - 1.0, order)
    columns = [
        on_x[:, degree - q] * on_y[:, q]
        for degree in range(1, order + 1)
        for q in range(degree + 1)
    ]
    return np.stack(columns, axis=1) if columns else np.empty((len(on_x), 0))


def _model(
    observations: PhotometricObservations, value: FloatArray, config: JointPhotometryConfig
) -> StarModel:
    """Order the parameters: zero points, shared term, terms of the visits."""
    n = len(value)
    y = np.where(np.isfinite(observations.y), observations.y, 0.0)
    x = np.where(np.isfinite(observations.x), observations.x, 0.0)
    shape, n_visits = observations.shape, observations.n_visits
    zero_points = csr_array((np.ones(n), (np.arange(n), observations.visit)), (n, n_visits))
    camera = csr_array(smooth_basis(y=y, x=x, order=config.camera_order, shape=shape))
    basis = smooth_basis(y=y, x=x, order=config.visit_order, shape=shape)
    n_terms = basis.shape[1]
    rows = np.repeat(np.arange(n), n_terms)
    columns = (observations.visit[:, None] * n_terms + np.arange(n_terms)).ravel()
    visits = csr_array((basis.ravel(), (rows, columns)), (n, n_visits * n_terms))
    detectors, pairs = _detector_terms(observations)
    # All zero points moved together change nothing: a loose prior fixes their mean near that of
    # the instrument and costs no precision.
    prior = np.concatenate(
        [
            np.full(n_visits, 1e-6),
            np.full(camera.shape[1], config.camera_prior_mag**-2),
            np.full(visits.shape[1], config.visit_prior_mag**-2),
            np.full(detectors.shape[1], config.detector_prior_mag**-2),
            np.full(pairs.shape[1], config.pair_prior_mag**-2),
        ]
    )
    return StarModel(
        design=csr_array(hstack([zero_points, camera, visits, detectors, pairs])),
        value=value,
        star=observations.star,
        reference_value=np.zeros(observations.n_stars),
        reference_weight=np.zeros(observations.n_stars),
        prior_weight=prior,
    )


def _detector_terms(observations: PhotometricObservations) -> tuple[csr_array, csr_array]:
    """Give each of several detectors a constant, and one more on each visit."""
    n, n_detectors = len(observations.star), observations.n_detectors
    if observations.detector is None or n_detectors == 1:
        return csr_array((n, 0)), csr_array((n, 0))
    rows, ones = np.arange(n), np.ones(n)
    pair = observations.visit * n_detectors + observations.detector
    n_pairs = observations.n_visits * n_detectors
    return (
        csr_array((ones, (rows, observations.detector)), (n, n_detectors)),
        csr_array((ones, (rows, pair)), (n, n_pairs)),
    )


def _solve_clipped(
    model: StarModel,
    *,
    variance: FloatArray,
    masks: tuple[BoolArray, BoolArray, BoolArray],
    clip_sigma: float,
    n_covariance: int,
) -> tuple[StarSolution, BoolArray]:
    """Solve and leave outliers out until none is left; then give every star its mean."""
    usable, precise, fitted = masks
    used = precise
    for _ in range(_MAX_CLIPS):
        solution = solve_star_model(
            model, weight=np.where(used, 1.0 / variance, 0.0), fitted=fitted
        )
        size = solution.residual / np.sqrt(variance)
        kept = without_worst(size, model.star, used, clip_sigma)
        if np.array_equal(kept, used):
            break
        used = kept
    # Faint stars get means from the same calibration, which their own observations do not move.
    faint = np.bincount(model.star, weights=used, minlength=len(fitted)) == 0
    used = used | (usable & faint[model.star])
    weight = np.where(used, 1.0 / variance, 0.0)
    fitted = fitted & ~faint
    return solve_star_model(model, weight=weight, fitted=fitted, n_covariance=n_covariance), used


def _result(
    observations: PhotometricObservations,
    config: JointPhotometryConfig,
    fitted: tuple[StarSolution, BoolArray, BoolArray],
    anchor: ZeroPoint,
    err_mag: FloatArray,
) -> JointPhotometry:
    solution, used, reserved = fitted
    n_visits, shape = observations.n_visits, observations.shape
    n_camera = config.camera_order * (config.camera_order + 3) // 2
    n_visit = n_visits * (config.visit_order * (config.visit_order + 3) // 2)
    n_detectors = observations.n_detectors
    n_constants = n_detectors if n_detectors > 1 else 0
    ends = np.cumsum([n_visits, n_camera, n_visit, n_constants])
    zero_point, camera, visits, constants, pairs = np.split(solution.parameters, ends)
    covariance = solution.covariance[:n_visits, :n_visits]
    of_camera = np.diag(solution.covariance)[n_visits : n_visits + n_camera]
    offset = np.zeros((n_visits, n_detectors))
    if n_constants:
        offset = constants + pairs.reshape(n_visits, n_detectors)
    # The common part of all zero points is the anchor's; what is left is relative to their mean.
    centring = np.eye(n_visits) - 1.0 / n_visits
    relative = np.diag(centring @ covariance @ centring)
    seen = np.bincount(observations.visit[used], minlength=n_visits) > 0
    return JointPhotometry(
        zero_point_mag=np.where(seen, zero_point + anchor.zero_point_mag, np.nan),
        zero_point_err_mag=np.where(seen, np.sqrt(np.maximum(relative, 0.0)), np.nan),
        offset_mag=offset,
        freedom=np.sqrt(of_camera) / config.camera_prior_mag,
        anchor=anchor,
        camera_term=SmoothTerm(camera, config.camera_order, shape),
        visit_terms=tuple(
            SmoothTerm(row, config.visit_order, shape) for row in visits.reshape(n_visits, -1)
        ),
        star_mag=solution.star_value + anchor.zero_point_mag,
        star_mag_err=np.where(
            solution.star_weight > 0,
            1.0 / np.sqrt(np.maximum(solution.star_weight, 1e-300)),
            np.nan,
        ),
        residual_mag=np.where(np.isfinite(err_mag), solution.residual, np.nan),
        err_mag=err_mag,
        used=used,
        reserved=reserved,
    )
