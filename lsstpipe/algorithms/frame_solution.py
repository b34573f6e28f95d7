"""Solve one frame: match its stars with a reference catalogue and fit a TAN-SIP map."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.astrometry import (
    AstrometryFit,
    MatchedStars,
    TanSipConfig,
    fit_tan_sip,
)
from lsstpipe.algorithms.blind_match import PointingGuess, match_blind
from lsstpipe.algorithms.match import match_plane
from lsstpipe.algorithms.match_coverage import Matched, find_thin_quarters
from lsstpipe.algorithms.pointed_match import Pointing, match_pointed
from lsstpipe.errors import AlgorithmError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_MAX_MATCHES = 20
_MAX_IDLE_MATCHES = 2


@dataclass(frozen=True)
class SolveConfig:
    """How a frame of unknown orientation is solved."""

    match_radius_pix: float = 3.0
    """Largest distance between a detection and the catalogue star that it is, pixels."""
    min_log10_odds: float = 3.0
    """Least significance of the first match."""
    pointed_radius_pix: float = 300.0
    """How far from the pointing of the header the quick match looks, pixels."""
    max_rms_pix: float = 1.0
    """Largest rms an axis of a credible solution, pixels."""
    fit: TanSipConfig = field(default_factory=TanSipConfig)
    """The fit."""


@dataclass(frozen=True)
class DetectedStars:
    """Stars of one frame, shape ``(n,)`` each."""

    y: FloatArray
    """Absolute pixel position."""
    x: FloatArray
    """Absolute pixel position."""
    flux: FloatArray
    """Flux in any one unit; only its order counts."""
    err_pix: FloatArray
    """Error of the centroid on each axis, pixels; of a saturated star that of the photons alone."""
    is_saturated: BoolArray | None = None
    """Stars whose position may be wrong beyond its error; None where there are none."""
    straight: tuple[FloatArray, FloatArray] | None = None
    """Positions (y, x) without the distortion that the camera is known to have, for the first
    match; None where it is known to have none."""


@dataclass(frozen=True)
class ReferenceStars:
    """A reference catalogue, shape ``(n,)`` each."""

    ra_deg: FloatArray
    """Right ascension at the epoch of the frame, degrees."""
    dec_deg: FloatArray
    """Declination at the epoch of the frame, degrees."""
    mag: FloatArray
    """Magnitude in any one band."""
    err_arcsec: FloatArray | float = 0.0
    """Error of the position on each axis, arcsec; one each, or one for all."""


@dataclass(frozen=True)
class AstrometrySolution:
    """A solved frame."""

    fit: AstrometryFit
    """The map; its arrays run along `detection`."""
    detection: IntArray
    """Index of each matched detection."""
    reference: IntArray
    """Index of the catalogue star of each matched detection."""
    log10_odds: float
    """Significance of the first match."""


def solve_frame(
    stars: DetectedStars,
    reference: ReferenceStars,
    guess: PointingGuess,
    *,
    shape: tuple[int, int],
    config: SolveConfig,
) -> AstrometrySolution:
    """Find the map of a frame whose rotation and parity are unknown.

    Parameters
    ----------
    stars
        The frame's stars.
    reference
        Catalogue stars around the guess.
    guess
        Where the frame may point and how large its pixels are.
    shape
        Size (y, x) of the frame, pixels.
    config
        Radii, significance and the fit's settings.

    Returns
    -------
    solution
        The map and the pairs that made it.

    Raises
    ------
    AlgorithmError
        Nothing matches, too few stars are left, the residuals are too large to believe, or a
        quarter of the frame has stars in both lists and hardly any pairs.
    """
    detection, catalogue, odds = _first_match(stars, reference, guess, shape, config)
    fit, detection, catalogue = _settle(
        stars,
        reference,
        (detection, catalogue),
        np.broadcast_to(reference.err_arcsec, len(reference.mag)) / guess.pixel_scale_arcsec,
        shape=shape,
        config=config,
    )
    worst = max(fit.rms_y_pix, fit.rms_x_pix)
    if not worst <= config.max_rms_pix:
        raise AlgorithmError(
            f"The astrometric residuals of {fit.n_used} stars are {worst:.2f} pixels rms; allowed "
            f"are {config.max_rms_pix:g}."
        )
    solution = AstrometrySolution(fit, detection, catalogue, odds)
    _require_coverage(solution, stars, reference, shape)
    return solution


def _require_coverage(
    solution: AstrometrySolution,
    stars: DetectedStars,
    reference: ReferenceStars,
    shape: tuple[int, int],
) -> None:
    """Refuse a map that leaves a part of the frame unmatched though its stars are there."""
    used = solution.fit.used
    in_pair = np.zeros(len(stars.y), dtype=bool), np.zeros(len(reference.mag), dtype=bool)
    in_pair[0][solution.detection[used]] = True
    in_pair[1][solution.reference[used]] = True
    y, x = solution.fit.wcs.sky_to_pixel(reference.ra_deg, reference.dec_deg)
    thin = find_thin_quarters(
        Matched(stars.y, stars.x, stars.flux, in_pair[0]),
        Matched(y, x, -reference.mag, in_pair[1]),
        shape,
    )
    if thin:
        said = " and ".join(f"{q.n_pairs} in the {q.name} quarter" for q in thin)
        wanted = " and ".join(f"{q.n_expected:.0f}" for q in thin)
        raise AlgorithmError(
            f"The astrometric solution holds on a part of the frame only: of the bright catalogue "
            f"stars {said} are matched; at the share of the best quarter there would be {wanted}."
        )


def _first_match(
    stars: DetectedStars,
    reference: ReferenceStars,
    guess: PointingGuess,
    shape: tuple[int, int],
    config: SolveConfig,
) -> tuple[IntArray, IntArray, float]:
    """Match near the pointing if its rotation is known; blindly if that fails or it is not."""
    y, x = stars.straight or (stars.y, stars.x)
    detections = (y, x, stars.flux)
    catalogue = (reference.ra_deg, reference.dec_deg, reference.mag)
    if np.isfinite(guess.rotation_deg):
        scale = guess.pixel_scale_arcsec
        pointing = Pointing(
            ra_deg=guess.ra_deg,
            dec_deg=guess.dec_deg,
            rotation_deg=guess.rotation_deg,
            is_mirrored=guess.is_mirrored,
            pixel_scale_arcsec=scale,
            radius_pix=min(config.pointed_radius_pix, guess.radius_arcmin * 60.0 / scale),
            scale_tolerance=guess.scale_tolerance,
        )
        try:
            near = match_pointed(
                detections=detections,
                reference=catalogue,
                pointing=pointing,
                shape=shape,
                min_log10_odds=config.min_log10_odds,
            )
        except AlgorithmError:
            pass
        else:
            return near.detection, near.reference, near.log10_odds
    first = match_blind(
        detections=detections,
        reference=catalogue,
        guess=guess,
        min_log10_odds=config.min_log10_odds,
    )
    return first.detection, first.reference, first.log10_odds


def _settle(
    stars: DetectedStars,
    reference: ReferenceStars,
    pairs: tuple[IntArray, IntArray],
    reference_err_pix: FloatArray,
    *,
    shape: tuple[int, int],
    config: SolveConfig,
) -> tuple[AstrometryFit, IntArray, IntArray]:
    """Fit and match in turn until the pairs are those that made the fit, or no more are found."""
    detection, catalogue = pairs
    most, best = -1, None
    for _ in range(_MAX_MATCHES):
        matched = MatchedStars(
            stars.y[detection],
            stars.x[detection],
            np.hypot(stars.err_pix[detection], reference_err_pix[catalogue]),
            reference.ra_deg[catalogue],
            reference.dec_deg[catalogue],
            None if stars.is_saturated is None else stars.is_saturated[detection],
        )
        fit = fit_tan_sip(matched, shape=shape, config=config.fit)
        if fit.n_used > most:
            most, best = fit.n_used, (fit, detection, catalogue)
            n_idle = 0
        else:
            n_idle += 1
        y, x = fit.wcs.sky_to_pixel(reference.ra_deg, reference.dec_deg)
        found = match_plane(
            np.stack([stars.y, stars.x], axis=1),
            np.stack([y, x], axis=1),
            config.match_radius_pix,
        )
        settled = np.array_equal(found.first, detection) and np.array_equal(found.second, catalogue)
        if settled:
            return fit, detection, catalogue
        if n_idle == _MAX_IDLE_MATCHES:
            break
        detection, catalogue = found.first, found.second
    if best is None:
        raise AlgorithmError(
            f"The match of {len(detection)} stars with the catalogue does not settle."
        )
    return best
