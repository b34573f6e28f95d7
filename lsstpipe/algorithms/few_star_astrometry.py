"""Put a frame on the sky by a handful of stars: orientation and scale known, the pointing not.

Fields of photometric standards have a few stars of known position, often to some arcseconds only,
and no more: too few for a match of patterns, and for a fit of more than a shift. But their
magnitudes are known well. Each pair of a detection and a catalogue star proposes a shift and a zero
point; right is the proposal under which most catalogue stars are where a detection is, and as
bright, judged against chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc

from lsstpipe.algorithms.astrometry import AstrometryFit
from lsstpipe.algorithms.frame_solution import (
    AstrometrySolution,
    DetectedStars,
    ReferenceStars,
)
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.sphere import gnomonic_deproject
from lsstpipe.geometry.wcs import SkyWcs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OrientedGuess:
    """What is known of a frame whose pointing alone is in doubt.

    Attributes
    ----------
    ra_deg, dec_deg
        Sky at the centre of the frame, as the header has it.
    rotation_deg
        Direction of +y from north through east.
    pixel_scale_arcsec
        Size of a pixel.
    is_mirrored
        Whether +x is east where +y is north.
    radius_arcmin
        How far off the pointing may be.
    """

    ra_deg: float
    dec_deg: float
    rotation_deg: float
    pixel_scale_arcsec: float
    is_mirrored: bool
    radius_arcmin: float

    def wcs(self, shape: tuple[int, int]) -> SkyWcs:
        """Give the map that the guess amounts to.

        Parameters
        ----------
        shape
            Size (y, x) of the frame, pixels.
        """
        scale = self.pixel_scale_arcsec / 3600
        angle = np.deg2rad(self.rotation_deg)
        hand = 1.0 if self.is_mirrored else -1.0
        east = (hand * scale * float(np.cos(angle)), scale * float(np.sin(angle)))
        north = (-hand * scale * float(np.sin(angle)), scale * float(np.cos(angle)))
        crpix = ((shape[0] - 1) / 2.0, (shape[1] - 1) / 2.0)
        return SkyWcs(crpix, (self.ra_deg, self.dec_deg), (east, north))


@dataclass(frozen=True, slots=True)
class FewStarSettings:
    """How few stars are matched.

    Attributes
    ----------
    n_brightest
        Detections that are tried.
    position_error_pix
        How far a catalogue star may be from where it is said to be, in pixels.
    magnitude_error
        How far its magnitude may be from what is measured.
    min_stars
        Fewest stars of a solution.
    max_chance
        Probability from which a match is not believed, all trials counted.
    """

    n_brightest: int = 25
    position_error_pix: float = 3.0
    magnitude_error: float = 0.3
    min_stars: int = 3
    max_chance: float = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class _Proposal:
    """Pairs that one shift and zero point make."""

    detection: IntArray
    reference: IntArray
    n_inside: int
    miss: float


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    """Bright detections and the catalogue, both in pixels, and their magnitudes."""

    seen: FloatArray
    expected: FloatArray
    seen_mag: FloatArray
    known_mag: FloatArray
    shape: tuple[int, int]


def solve_few_stars(
    stars: DetectedStars,
    reference: ReferenceStars,
    guess: OrientedGuess,
    *,
    shape: tuple[int, int],
    settings: FewStarSettings,
) -> AstrometrySolution:
    """Find the shift of a frame of known orientation and scale.

    Parameters
    ----------
    stars
        The frame's stars; their fluxes must be finite.
    reference
        Catalogue stars around the guess, with magnitudes in the band of the frame.
    guess
        Orientation, scale, and where the frame may point.
    shape
        Size (y, x) of the frame, pixels.
    settings
        Errors of the catalogue, and what is believed.

    Returns
    -------
    solution
        The guess, shifted; its residuals are those of the catalogue's positions.

    Raises
    ------
    AlgorithmError
        Too few catalogue stars are there, or no shift matches them better than chance.
    """
    first = guess.wcs(shape)
    with np.errstate(invalid="ignore"):
        y, x = first.sky_to_pixel(reference.ra_deg, reference.dec_deg)
    expected = np.stack([y, x], axis=1)
    reach = 60 * guess.radius_arcmin / guess.pixel_scale_arcsec
    near = np.flatnonzero(_inside(expected, shape, margin=reach))
    if len(near) < settings.min_stars:
        raise AlgorithmError(
            f"The reference catalogue has {len(near)} stars where the frame may look; at least "
            f"{settings.min_stars} are needed for a shift."
        )
    bright = np.argsort(-stars.flux, kind="stable")[: settings.n_brightest]
    field = _Field(
        np.stack([stars.y[bright], stars.x[bright]], axis=1),
        expected[near],
        -2.5 * np.log10(stars.flux[bright]),
        reference.mag[near],
        shape,
    )
    best, log10_odds = _search(field, reach, settings)
    detection, catalogue = bright[best.detection], near[best.reference]
    order = np.argsort(detection)
    detection, catalogue = detection[order], catalogue[order]
    miss = np.stack([stars.y[detection], stars.x[detection]], axis=1) - expected[catalogue]
    shift = miss.mean(axis=0)
    return AstrometrySolution(
        _to_fit(_shifted(first, shift), miss - shift), detection, catalogue, log10_odds
    )


def _inside(
    position: FloatArray, shape: tuple[int, int], *, margin: float
) -> npt.NDArray[np.bool_]:
    """Find the positions on a frame, or not further than a margin from it."""
    low, high = -0.5 - margin, np.array(shape) - 0.5 + margin
    return np.asarray(((position >= low) & (position <= high)).all(axis=1))


def _search(field: _Field, reach: float, settings: FewStarSettings) -> tuple[_Proposal, float]:
    """Try the shift of every pair of a detection and a catalogue star; judge the best."""
    best: _Proposal | None = None
    best_log10, n_tried = 0.0, 0
    for i in range(len(field.seen)):
        for j in range(len(field.expected)):
            shift = field.seen[i] - field.expected[j]
            if np.hypot(*shift) > reach:
                continue
            n_tried += 1
            made = _propose(field, shift, field.known_mag[j] - field.seen_mag[i], settings)
            log10 = _log10_chance(made, field, settings)
            if best is None or (log10, made.miss) < (best_log10, best.miss):
                best, best_log10 = made, log10
    found = 0 if best is None else len(best.detection)
    if best is None or found < settings.min_stars:
        raise AlgorithmError(
            f"No shift within {reach:.0f} pixels puts {settings.min_stars} of the "
            f"{len(field.expected)} catalogue stars on detections as bright as they; the best puts "
            f"{found} there."
        )
    chance = best_log10 + np.log10(n_tried)
    if chance > np.log10(settings.max_chance):
        raise AlgorithmError(
            f"The best shift puts {found} catalogue stars on detections as bright as they, which "
            f"chance does with a probability of {min(1.0, 10**chance):.2g}; allowed are "
            f"{settings.max_chance:g}."
        )
    return best, float(-chance)


def _propose(
    field: _Field, shift: FloatArray, zero_point: float, settings: FewStarSettings
) -> _Proposal:
    """Pair each catalogue star with the nearest detection that is as bright; then shift again."""
    detection = reference = np.empty(0, dtype=np.int64)
    miss = 0.0
    # The star that proposes has an error of its own: the mean of all is the better shift.
    for _ in range(3):
        offset = field.seen[None] - (field.expected + shift)[:, None]
        distance = np.hypot(offset[..., 0], offset[..., 1])
        difference = np.abs(field.seen_mag[None] + zero_point - field.known_mag[:, None])
        fits = (distance <= 2 * settings.position_error_pix) & (
            difference <= settings.magnitude_error
        )
        nearest = np.argmin(np.where(fits, distance, np.inf), axis=1)
        reference = np.flatnonzero(fits[np.arange(len(nearest)), nearest])
        detection, kept = np.unique(nearest[reference], return_index=True)
        reference = reference[kept]
        if len(reference) == 0:
            break
        shift = (field.seen[detection] - field.expected[reference]).mean(axis=0)
        zero_point = float(np.median(field.known_mag[reference] - field.seen_mag[detection]))
        miss = float(distance[reference, detection].mean())
    inside = _inside(field.expected + shift, field.shape, margin=0.0)
    return _Proposal(detection, reference, int(inside.sum()), miss)


def _log10_chance(made: _Proposal, field: _Field, settings: FewStarSettings) -> float:
    """Give the probability that a wrong shift makes as many pairs, the first being given."""
    area = np.pi * (2 * settings.position_error_pix) ** 2 / (field.shape[0] * field.shape[1])
    # Of the detections, those as bright as a catalogue star can be.
    spread = np.ptp(field.seen_mag) + 2 * settings.magnitude_error
    share = min(1.0, 2 * settings.magnitude_error / spread)
    p = min(0.5, len(field.seen) * area * share)
    n_more, n_other = len(made.detection) - 1, max(made.n_inside, len(made.detection)) - 1
    if n_more < 1:
        return 0.0
    return float(np.log10(max(bdtrc(n_more - 1, n_other, p), 1e-300)))


def _shifted(wcs: SkyWcs, shift: FloatArray) -> SkyWcs:
    """Move a map by pixels: the sky that was at the centre is now beside it."""
    (a, b), (c, d) = wcs.cd
    dy, dx = -float(shift[0]), -float(shift[1])
    ra, dec = gnomonic_deproject(a * dx + b * dy, c * dx + d * dy, centre_deg=wcs.crval_deg)
    return SkyWcs(wcs.crpix, (float(ra), float(dec)), wcs.cd)


def _to_fit(wcs: SkyWcs, residual: FloatArray) -> AstrometryFit:
    """Describe a shift as a fit; two stars are one degree of freedom an axis."""
    rms = np.sqrt((residual**2).sum(axis=0) / max(len(residual) - 1, 1))
    return AstrometryFit(
        wcs=wcs,
        order=0,
        residual_y=residual[:, 0],
        residual_x=residual[:, 1],
        used=np.ones(len(residual), dtype=bool),
        rms_y_pix=float(rms[0]),
        rms_x_pix=float(rms[1]),
    )
