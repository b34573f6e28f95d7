"""Maps of all visits at once, from the stars that they share and a reference catalogue.

The plan of Bernstein et al. (2017): the map from pixels to the sky is a static distortion of the
detector followed by a polynomial of the visit. Here both are small corrections to maps that solve
each frame on its own, so that one linear system finds corrections and star positions together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.astrometry import fit_to_map
from lsstpipe.algorithms.joint_astrometry_model import (
    AstrometricObservations,
    Corrections,
    JointAstrometryConfig,
)
from lsstpipe.algorithms.star_elimination import (
    StarModel,
    StarSolution,
    reserve_stars,
    solve_star_model,
    usual,
    without_worst,
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
    used, anchored = clipped.solve(precise, ~reserved)
    # Stars without a precise centroid get a position too, but do not shape the maps.
    faint = np.bincount(observations.star[used], minlength=observations.n_stars) == 0
    used = used | (usable & faint[observations.star])
    solution = clipped.solution(used, anchored, ~reserved & ~faint)
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

    def solution(self, used: BoolArray, anchored: BoolArray, fitted: BoolArray) -> StarSolution:
        """Solve with some of the observations and catalogue stars."""
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
        return solve_star_model(model, weight=weight, fitted=np.tile(fitted, 2))

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


def _refit_maps(
    corrections: Corrections, parameters: FloatArray
) -> tuple[dict[tuple[int, int], SkyWcs], float]:
    """Turn first maps and corrections into TAN-SIP maps, exact on a grid over each detector."""
    data, config = corrections.observations, corrections.config
    grid_y, grid_x = np.meshgrid(
        np.linspace(0.0, data.shape[0] - 1.0, _GRID_POINTS),
        np.linspace(0.0, data.shape[1] - 1.0, _GRID_POINTS),
        indexing="ij",
    )
    y, x = grid_y.ravel(), grid_x.ravel()
    maps, worst = {}, 0.0
    for key, first in data.wcs.items():
        order = max(first.order, config.visit_order, config.detector_order)
        sky = corrections.corrected_sky(key, parameters, y=y, x=x)
        maps[key] = fit_to_map(sky, y=y, x=x, order=order, shape=data.shape)
        map_y, map_x = maps[key].sky_to_pixel(*sky)
        worst = max(worst, float(np.hypot(map_y - y, map_x - x).max()))
    return maps, worst
