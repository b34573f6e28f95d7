"""Maps of all visits at once, from the stars that they share and a reference catalogue.

The plan of Bernstein et al. (2017): the map from pixels to the sky is a static distortion of the
detector followed by a polynomial of the visit. Here both are small corrections to maps that solve
each frame on its own, so that one linear system finds corrections and star positions together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.astrometric_observations import (
    AstrometricObservations,
    JointAstrometryConfig,
)
from lsstpipe.algorithms.astrometry import fit_to_map
from lsstpipe.algorithms.joint_astrometry_model import Corrections, corner_pixels, n_monomials
from lsstpipe.algorithms.star_elimination import (
    StarModel,
    StarSolution,
    reserve_stars,
    solve_star_model,
    usual,
    without_worst,
)
from lsstpipe.algorithms.star_motion import (
    MotionPrior,
    StarDates,
    find_movers,
    improve_motions,
)
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.wcs import SkyWcs

__all__ = [
    "AstrometricObservations",
    "AstrometricRepeatability",
    "JointAstrometry",
    "JointAstrometryConfig",
    "fit_joint_astrometry",
    "measure_astrometric_repeatability",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_MAX_CLIPS = 50
_GRID_POINTS = 15
_ARCSEC = 3600.0
_MIN_REPEATS = 3
_MIN_ANCHORS = 3
_MAX_MOTION_STEPS = 25
_MOTION_TOLERANCE_PIX = 1e-5
_MAX_COVARIANCE = 2000
"""Parameters up to which the covariance of all of them is worth its time."""


@dataclass(frozen=True)
class AstrometricRepeatability:
    """Scatter of bright stars about their mean positions over the visits."""

    rms_y_pix: float
    """Along y, degrees of freedom counted, pixels; NaN without stars."""
    rms_x_pix: float
    """Along x, pixels; NaN without stars."""
    n_stars: int
    """Count of stars."""
    n_observations: int
    """Count of observations."""


@dataclass(frozen=True)
class JointAstrometry:
    """Result of the joint fit."""

    wcs: dict[tuple[int, int], SkyWcs]
    """Map of each (visit, detector)."""
    star_ra_deg: FloatArray
    """Right ascension of each star, degrees; NaN where no observation is good."""
    star_dec_deg: FloatArray
    """Declination of each star, degrees."""
    star_err_arcsec: FloatArray
    """Error on each axis without that of the maps, arcsec."""
    star_motion_mas: FloatArray
    """Proper motion of each star along ra times cos(dec) and dec, mas/yr, shape ``(n_stars, 2)``;
    0 where neither the dates nor the catalogue tell."""
    star_motion_err_mas: FloatArray
    """Its error; NaN where it was not fitted."""
    map_err_pix: dict[tuple[int, int], float]
    """Largest standard error of an axis of each map in the corners of its detector, pixels."""
    freedom: FloatArray
    """Posterior over prior standard deviation of each term of the detectors' distortion: near 1
    where the observations say nothing of it."""
    residual_y: FloatArray
    """Measured minus predicted position of every observation along y, pixels."""
    residual_x: FloatArray
    """Measured minus predicted position along x, pixels."""
    used: BoolArray
    """Which observations make the positions of the stars."""
    reserved: BoolArray
    """Which stars were kept out of the fit, shape ``(n_stars,)``."""
    reference_used: BoolArray
    """Which catalogue stars anchor the fit, shape ``(n_stars,)``."""
    bright_used: AstrometricRepeatability
    """Bright stars of the fit."""
    bright_reserved: AstrometricRepeatability
    """Bright stars that the fit did not see."""
    max_map_error_pix: float
    """Largest difference between the fitted corrections and the TAN-SIP maps, pixels."""


def fit_joint_astrometry(
    observations: AstrometricObservations, config: JointAstrometryConfig
) -> JointAstrometry:
    """Fit the maps of all visits and the positions of all stars together.

    Parameters
    ----------
    observations
        Centroids of stars in visits, first maps and catalogue positions.
    config
        Orders, priors and clipping.

    Returns
    -------
    fit
        A map for each visit and detector, and what it leaves.

    Raises
    ------
    AlgorithmError
        No star is seen twice, or too few have a catalogue position.
    """
    usable = np.isfinite(observations.y + observations.x) & (observations.err_pix > 0)
    precise = usable & (observations.err_pix <= config.max_err_pix)
    reserved = reserve_stars(
        observations.n_stars, fraction=config.reserve_fraction, seed=config.seed
    )
    _check(observations, precise, reserved)
    corrections = Corrections.over(observations, config)
    model, jacobian = corrections.equations()
    variance = np.where(usable, observations.err_pix, 1.0) ** 2 + config.err_floor_pix**2
    clipped = _Clipped(model, np.tile(variance, 2), config.clip_sigma)
    clipped, motion = _follow_motions(clipped, corrections, precise, ~reserved)
    used, anchored = clipped.solve(precise, ~reserved)
    # Stars without a precise centroid get a position too, but do not shape the maps.
    faint = np.bincount(observations.star[used], minlength=observations.n_stars) == 0
    used = used | (usable & faint[observations.star])
    solution = clipped.solution(used, anchored, ~reserved & ~faint, n_covariance=_MAX_COVARIANCE)
    plane = solution.residual.reshape(2, -1).T
    pixels = np.linalg.solve(jacobian, plane[:, :, None])[:, :, 0]
    residual_x: FloatArray = np.where(usable, pixels[:, 0], np.nan).astype(np.float64)
    residual_y: FloatArray = np.where(usable, pixels[:, 1], np.nan).astype(np.float64)
    wcs, max_map_error = _refit_maps(corrections, solution.parameters)
    observed = np.bincount(observations.star[used], minlength=observations.n_stars) > 0
    star_plane = np.where(observed, solution.star_value.reshape(2, -1), np.nan)
    star_ra, star_dec = corrections.to_sky(star_plane.T)
    weight = np.where(observed, solution.star_weight[: observations.n_stars], np.nan)
    bright = used & (observations.err_pix <= config.bright_err_pix)
    held_out = reserved[observations.star]
    residuals = (residual_y, residual_x)
    return JointAstrometry(
        wcs=wcs,
        star_ra_deg=star_ra,
        star_dec_deg=star_dec,
        star_err_arcsec=corrections.scale_deg * _ARCSEC / np.sqrt(weight),
        star_motion_mas=corrections.motion_on_sky(np.nan_to_num(star_plane.T), motion.motion),
        star_motion_err_mas=motion.error * corrections.scale_deg * _ARCSEC * 1000.0,
        map_err_pix=_map_errors(corrections, solution.covariance),
        freedom=_freedom(corrections, solution.covariance),
        residual_y=residual_y,
        residual_x=residual_x,
        used=used,
        reserved=reserved,
        reference_used=anchored,
        bright_used=measure_astrometric_repeatability(
            observations.star, residuals, bright & ~held_out
        ),
        bright_reserved=measure_astrometric_repeatability(
            observations.star, residuals, bright & held_out
        ),
        max_map_error_pix=max_map_error,
    )


def measure_astrometric_repeatability(
    star: IntArray, residuals: tuple[FloatArray, FloatArray], selected: BoolArray
) -> AstrometricRepeatability:
    """Measure the scatter about the mean of each star of three and more observations.

    Parameters
    ----------
    star
        Star of each observation, shape ``(n,)``.
    residuals
        Residuals along y and along x, pixels.
    selected
        Which observations count.

    Returns
    -------
    repeatability
        Rms on each axis over all stars together.
    """
    count = np.bincount(star[selected], minlength=int(star.max(initial=-1)) + 1)
    chosen = selected & (count[star] >= _MIN_REPEATS)
    n_stars, n = int(np.sum(count >= _MIN_REPEATS)), int(chosen.sum())
    if n_stars == 0:
        return AstrometricRepeatability(np.nan, np.nan, 0, 0)
    rms = []
    for residual in residuals:
        total = np.bincount(star[chosen], weights=residual[chosen], minlength=len(count))
        mean = total / np.maximum(count, 1)
        squares = (residual[chosen] - mean[star[chosen]]) ** 2
        rms.append(float(np.sqrt(np.sum(squares) / (n - n_stars))))
    return AstrometricRepeatability(rms[0], rms[1], n_stars, n)


def _check(observations: AstrometricObservations, precise: BoolArray, reserved: BoolArray) -> None:
    if not np.any(np.bincount(observations.star[precise], minlength=1) > 1):
        raise AlgorithmError(
            "No star has two good centroids: the visits cannot be put on each other."
        )
    known = np.isfinite(observations.reference_ra_deg + observations.reference_dec_deg)
    known &= observations.reference_err_arcsec > 0
    seen = np.bincount(observations.star[precise], minlength=observations.n_stars) > 0
    n_anchors = int(np.sum(known & seen & ~reserved))
    if n_anchors < _MIN_ANCHORS:
        raise AlgorithmError(
            f"{n_anchors} stars of the joint astrometric fit have catalogue positions with errors; "
            f"at least {_MIN_ANCHORS} are needed."
        )


@dataclass(frozen=True)
class _Clipped:
    """The equations with the rule for outliers; both axes of an observation go together."""

    model: StarModel
    variance: FloatArray
    clip_sigma: float

    def solution(
        self, used: BoolArray, anchored: BoolArray, fitted: BoolArray, n_covariance: int = 0
    ) -> StarSolution:
        """Solve with some of the observations and catalogue stars."""
        n_parameters = len(self.model.prior_weight)
        n_wanted = n_parameters if n_parameters <= n_covariance else 0
        anchors = np.where(np.tile(anchored, 2), self.model.reference_weight, 0.0)
        model = StarModel(
            self.model.design,
            self.model.value,
            self.model.star,
            self.model.reference_value,
            anchors,
            self.model.prior_weight,
        )
        weight = np.where(np.tile(used, 2), 1.0 / self.variance, 0.0)
        return solve_star_model(
            model, weight=weight, fitted=np.tile(fitted, 2), n_covariance=n_wanted
        )

    def solve(self, precise: BoolArray, fitted: BoolArray) -> tuple[BoolArray, BoolArray]:
        """Return the observations and catalogue stars that are left when none is an outlier."""
        used = precise
        n_stars = len(fitted)
        seen = np.bincount(self.model.star[: len(precise)][precise], minlength=n_stars) > 0
        anchored = fitted & seen & (self.model.reference_weight[:n_stars] > 0)
        for _ in range(_MAX_CLIPS):
            solution = self.solution(used, anchored, fitted)
            size = solution.residual / np.sqrt(self.variance)
            worst_axis = np.abs(size).reshape(2, -1).max(axis=0)
            kept = without_worst(worst_axis, self.model.star[: len(used)], used, self.clip_sigma)
            anchors_kept = anchored & self._anchors_inside(solution, anchored)
            if np.array_equal(kept, used) and np.array_equal(anchors_kept, anchored):
                break
            used, anchored = kept, anchors_kept
        return used, anchored

    def _anchors_inside(self, solution: StarSolution, anchored: BoolArray) -> BoolArray:
        weight = np.where(self.model.reference_weight > 0, self.model.reference_weight, 1.0)
        miss = (solution.star_value - self.model.reference_value) * np.sqrt(weight)
        inside = usual(miss, np.tile(anchored, 2), self.clip_sigma)
        return np.asarray(inside.reshape(2, -1).all(axis=0))


def _follow_motions(
    clipped: _Clipped, corrections: Corrections, precise: BoolArray, fitted: BoolArray
) -> tuple[_Clipped, MotionPrior]:
    """Take the motions of the stars out of their positions: the catalogue's, and fitted ones.

    Maps and motions are improved in turn. The stars whose motions the catalogue gives hold the
    others: what all stars have in common cannot be told from a drift of the visits.
    """
    data, config, n_stars = corrections.observations, corrections.config, len(fitted)
    nothing = MotionPrior(np.zeros((n_stars, 2)), np.full((n_stars, 2), np.nan))
    if data.years is None:
        return clipped, nothing
    pixel_mas = corrections.scale_deg * _ARCSEC * 1000.0
    given, error = data.reference_motion, data.reference_motion_err
    unknown = np.full((n_stars, 2), np.nan)
    given, error = (unknown if value is None else value for value in (given, error))
    known = np.asarray(np.isfinite(given + error).all(axis=1))[:, None]
    own_error = np.where(known, np.hypot(error, config.motion_err_floor_mas), 0.0)
    error_mas = np.where(known, own_error, config.motion_prior_mas)
    weight = np.where(precise, 1.0 / clipped.variance[: len(precise)], 0.0)
    dates = StarDates(data.star, data.years, weight)
    can_move = find_movers(dates, n_stars, min_years=config.min_years)
    prior = MotionPrior(
        corrections.motion_on_plane(given),
        np.where(can_move[:, None], error_mas / pixel_mas, 0.0),
    )
    motion, motion_error = prior.motion, nothing.error
    moved = _without_motion(clipped, motion, data)
    if can_move.any():
        used, anchored = moved.solve(precise, fitted)
        for _ in range(_MAX_MOTION_STEPS):
            residual = moved.solution(used, anchored, fitted).residual.reshape(2, -1).T
            own = StarDates(data.star, data.years, np.where(used, weight, 0.0))
            better, motion_error = improve_motions(residual, own, motion, prior)
            step = np.abs(better - motion).max()
            motion = better
            moved = _without_motion(clipped, motion, data)
            if step < _MOTION_TOLERANCE_PIX:
                break
        motion_error = np.where(can_move[:, None], motion_error, np.nan)
    return moved, MotionPrior(motion, motion_error)


def _without_motion(
    clipped: _Clipped, motion: FloatArray, data: AstrometricObservations
) -> _Clipped:
    """Move the observations to the date of the catalogue's positions."""
    years = np.zeros(len(data.star)) if data.years is None else data.years
    shift = motion[data.star] * years[:, None]
    model = replace(clipped.model, value=clipped.model.value - shift.T.ravel())
    return replace(clipped, model=model)


def _map_errors(corrections: Corrections, covariance: FloatArray) -> dict[tuple[int, int], float]:
    """Carry the covariance of the parameters to the corners of each detector; NaN without it."""
    errors = {}
    for key in sorted(corrections.observations.wcs):
        errors[key] = np.nan
        if len(covariance):
            y, x = corner_pixels(corrections.observations.shapes[key[1]])
            design = corrections.linearise(key, y=y, x=x)[2]
            variance = np.asarray((design @ covariance * design.toarray()).sum(axis=1))
            errors[key] = float(np.sqrt(max(variance.max(), 0.0)))
    return errors


def _freedom(corrections: Corrections, covariance: FloatArray) -> FloatArray:
    """Compare what is known of the detectors' distortions with what was before the fit."""
    lowest, highest = corrections.detector_degrees
    n_terms = n_monomials(lowest, highest)
    if not len(covariance) or not n_terms:
        return np.empty(0)
    n_low = n_monomials(lowest, 1) if lowest < 2 else 0
    first = 2 * len(corrections.visits) * n_monomials(0, corrections.config.visit_order)
    n_all = 2 * len(corrections.detectors) * n_terms
    sigma = (
        np.sqrt(np.diag(covariance)[first : first + n_all]) / corrections.config.detector_prior_pix
    )
    return np.asarray(sigma.reshape(-1, n_terms)[:, n_low:].ravel())


def _refit_maps(
    corrections: Corrections, parameters: FloatArray
) -> tuple[dict[tuple[int, int], SkyWcs], float]:
    """Turn first maps and corrections into TAN-SIP maps, exact on a grid over each detector."""
    data, config = corrections.observations, corrections.config
    maps, worst = {}, 0.0
    for key, first in data.wcs.items():
        shape = data.shapes[key[1]]
        grid = (np.linspace(0.0, n - 1.0, _GRID_POINTS) for n in shape)
        y, x = (g.ravel() for g in np.meshgrid(*grid, indexing="ij"))
        order = max(first.order, config.visit_order, config.detector_order)
        sky = corrections.corrected_sky(key, parameters, y=y, x=x)
        maps[key] = fit_to_map(sky, y=y, x=x, order=order, shape=shape)
        map_y, map_x = maps[key].sky_to_pixel(*sky)
        worst = max(worst, float(np.hypot(map_y - y, map_x - x).max()))
    return maps, worst
