"""Find where a frame points when the header says so, but not well: shift, turn and scale by votes.

The catalogue is drawn on the frame as the header has it, turned and stretched by a few small
amounts. Every detection and every catalogue star near it then propose a shift; true pairs agree on
one, false ones scatter. The fullest cells are refined to a polynomial, which follows the distortion
of a wide camera, and judged against chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc

from lsstpipe.algorithms.match import match_plane
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.sphere import gnomonic_project

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_TRIES = ((60, 1.0), (150, 1.0), (150, 2.0))
"""How many bright detections vote, and how many catalogue stars a unit of area for each of them."""
_MAX_REFERENCE_VOTERS = 400
_CELL_PIX = 8.0
_N_REFINED = 6
_STEPS = ((1, 20.0), (1, 12.0), (2, 10.0), (3, 6.0), (3, 4.0), (3, 4.0))
"""Degree of the polynomial and radius of the match, pixels, one step of the refinement each."""
_EVIDENCE_RADII_PIX = (2.0, 4.0)
_MAX_VERIFIED = 200
_MIN_STARS = 5
_PAIRS_PER_TERM = 3
_CLIP = 4.0
_SURE = 6.0
"""Margin of log10 odds at which no further candidate is looked at."""


@dataclass(frozen=True)
class Pointing:
    """What the header says of a frame, and how far it may be wrong."""

    ra_deg: float
    """Right ascension of the centre of the frame, degrees."""
    dec_deg: float
    """Declination of the centre of the frame, degrees."""
    rotation_deg: float
    """Direction of +y of the frame, from north through east, degrees."""
    is_mirrored: bool
    """Whether +x of the frame is east where +y is north."""
    pixel_scale_arcsec: float
    """Size of a pixel, arcsec."""
    radius_pix: float = 300.0
    """How far the centre may be off, pixels."""
    rotation_tolerance_deg: float = 1.2
    """How far the rotation may be off, degrees."""
    scale_tolerance: float = 0.01
    """Relative error that the pixel scale may have."""


@dataclass(frozen=True)
class PointedMatch:
    """Pairs of detections and catalogue stars."""

    detection: IntArray
    """Index of each matched detection, rising."""
    reference: IntArray
    """Index of the catalogue star of each matched detection."""
    log10_odds: float
    """Minus the logarithm of the probability that chance matches as many, all trials counted."""
    shift_pix: tuple[float, float]
    """How far the centre of the frame is from where the header has it, along y and x, pixels."""


@dataclass(frozen=True)
class _Lists:
    """Detections from the middle of the frame, and the catalogue as the header puts it there."""

    detected: FloatArray
    bright: IntArray
    reference: FloatArray
    order: IntArray
    half_size: FloatArray

    @property
    def half_diagonal(self) -> float:
        return float(np.hypot(*self.half_size))

    @property
    def area(self) -> float:
        return float(4.0 * np.prod(self.half_size))


def match_pointed(
    *,
    detections: tuple[FloatArray, FloatArray, FloatArray],
    reference: tuple[FloatArray, FloatArray, FloatArray],
    pointing: Pointing,
    shape: tuple[int, int],
    min_log10_odds: float = 3.0,
) -> PointedMatch:
    """Match detected stars with a catalogue when pointing and rotation are roughly known.

    Parameters
    ----------
    detections
        Absolute pixel positions y, x and fluxes of the detected stars, shape ``(n,)`` each.
    reference
        Right ascension and declination in degrees, and magnitude, of the catalogue stars.
    pointing
        What the header says.
    shape
        Size (y, x) of the frame, pixels.
    min_log10_odds
        Least significance of a match.

    Returns
    -------
    match
        The pairs of all detections and catalogue stars.

    Raises
    ------
    AlgorithmError
        There are too few stars, or nothing near the pointing matches better than chance would.
    """
    lists = _lay_out(detections, reference, pointing, shape)
    best, odds = None, -np.inf
    for start in _candidates(lists, pointing):
        predicted, own = _refine(lists, start, pointing)
        if own > odds:
            best, odds = predicted, own
        if odds >= min_log10_odds + _SURE:
            break
    if best is None or odds < min_log10_odds:
        raise AlgorithmError(
            f"No position within {pointing.radius_pix:g} pixels of the pointing matches the "
            f"{len(lists.bright)} detected stars with the {len(lists.order)} catalogue stars "
            f"better than chance: the best has log10 odds {max(odds, 0.0):.1f}, needed are "
            f"{min_log10_odds:g}."
        )
    pairs = match_plane(lists.detected, best, _STEPS[-1][1])
    moved = best[pairs.second] - lists.reference[pairs.second]
    shift = np.median(moved, axis=0) if len(moved) else np.zeros(2)
    return PointedMatch(pairs.first, pairs.second, float(odds), (float(shift[0]), float(shift[1])))


def _lay_out(
    detections: tuple[FloatArray, FloatArray, FloatArray],
    reference: tuple[FloatArray, FloatArray, FloatArray],
    pointing: Pointing,
    shape: tuple[int, int],
) -> _Lists:
    """Put both lists on the frame, counted from its middle; (y, x)."""
    y, x, flux = detections
    middle = (np.array(shape) - 1.0) / 2.0
    usable = np.isfinite(y) & np.isfinite(x) & (flux > 0)
    bright = np.flatnonzero(usable)[np.lexsort((x[usable], y[usable], -flux[usable]))]
    ra_deg, dec_deg, mag = reference
    xi, eta = gnomonic_project(ra_deg, dec_deg, centre_deg=(pointing.ra_deg, pointing.dec_deg))
    angle = np.deg2rad(pointing.rotation_deg)
    hand = 1.0 if pointing.is_mirrored else -1.0
    scale = pointing.pixel_scale_arcsec / 3600.0
    on_y = (xi * np.sin(angle) + eta * np.cos(angle)) / scale
    on_x = hand * (xi * np.cos(angle) - eta * np.sin(angle)) / scale
    predicted = np.stack([on_y, on_x], axis=1)
    half_size = np.array(shape) / 2.0
    reach = half_size + pointing.radius_pix
    inside = np.isfinite(mag) & (np.abs(predicted) <= reach).all(axis=1)
    order = np.flatnonzero(inside)[np.lexsort((on_x[inside], mag[inside]))]
    for count, what in ((len(bright), "the frame shows"), (len(order), "the catalogue has")):
        if count < _MIN_STARS:
            raise AlgorithmError(
                f"The position of the frame cannot be found: {what} {count} stars; at least "
                f"{_MIN_STARS} are needed."
            )
    return _Lists(np.stack([y, x], axis=1) - middle, bright, predicted, order, half_size)


def _candidates(lists: _Lists, pointing: Pointing) -> Iterator[FloatArray]:
    """Give the affine maps, from catalogue to frame, of the fullest cells of each vote."""
    area = float(np.prod(2.0 * (lists.half_size + pointing.radius_pix)))
    for n_voters, density in _TRIES:
        n_voters = min(n_voters, len(lists.bright))
        n_reference = int(np.ceil(density * n_voters * area / lists.area))
        n_reference = min(n_reference, len(lists.order), _MAX_REFERENCE_VOTERS)
        detected = lists.detected[lists.bright[:n_voters]]
        reference = lists.reference[lists.order[:n_reference]]
        found = []
        for linear in _linear_maps(lists.half_diagonal, pointing):
            count, shift = _vote(detected, reference @ linear.T, pointing.radius_pix)
            found.append((count, np.concatenate([shift[:, None], linear], axis=1)))
        found.sort(key=lambda item: -item[0])
        yield from (affine for _, affine in found[:_N_REFINED])


def _linear_maps(half_diagonal: float, pointing: Pointing) -> Iterator[FloatArray]:
    """Give the small turns and stretches, nearest to none first, that a corner tells apart."""
    step = 2.0 * _CELL_PIX / half_diagonal
    turns = _grid(np.deg2rad(pointing.rotation_tolerance_deg), step)
    for stretch in 1.0 + _grid(pointing.scale_tolerance, step):
        for turn in turns:
            sin, cos = stretch * np.sin(turn), stretch * np.cos(turn)
            yield np.array([[cos, -sin], [sin, cos]])


def _grid(limit: float, step: float) -> FloatArray:
    """Cover an interval about zero with steps, from the middle outwards."""
    n = int(np.ceil(limit / step))
    values = np.linspace(-limit, limit, 2 * n + 1) if n else np.zeros(1)
    return np.asarray(values[np.argsort(np.abs(values), kind="stable")])


def _vote(detected: FloatArray, reference: FloatArray, radius: float) -> tuple[int, FloatArray]:
    """Return the fullest square of four cells of the shifts, and the mean shift there."""
    shift = (detected[:, None, :] - reference[None, :, :]).reshape(-1, 2)
    shift = shift[(np.abs(shift) < radius).all(axis=1)]
    n = int(np.ceil(2.0 * radius / _CELL_PIX)) + 1
    cell = ((shift + radius) / _CELL_PIX).astype(np.int64)
    count = np.bincount(cell[:, 0] * n + cell[:, 1], minlength=n * n).reshape(n, n)
    square = count[:-1, :-1] + count[1:, :-1] + count[:-1, 1:] + count[1:, 1:]
    top = np.array(np.unravel_index(int(np.argmax(square)), square.shape))
    inside = ((cell >= top) & (cell <= top + 1)).all(axis=1)
    mean = shift[inside].mean(axis=0) if inside.any() else np.zeros(2)
    return int(square.max()), mean


def _refine(lists: _Lists, affine: FloatArray, pointing: Pointing) -> tuple[FloatArray, float]:
    """Follow the distortion of the frame from a first map; return positions and log10 odds."""
    unit = lists.half_diagonal
    tested = lists.order[:_MAX_VERIFIED]
    predicted = lists.reference @ affine[:, 1:].T + affine[:, 0]
    n_terms = 3
    for order, radius in _STEPS:
        own = tested[_inside(predicted[tested], lists.half_size)]
        bright = lists.bright[: max(3 * len(own), 50)]
        pairs = match_plane(lists.detected[bright], predicted[own], radius)
        while order > 1 and len(pairs.first) < _PAIRS_PER_TERM * _n_terms(order):
            order -= 1
        n_terms = _n_terms(order)
        if len(pairs.first) <= n_terms:
            return predicted, 0.0
        target = lists.detected[bright[pairs.first]]
        design = _design(lists.reference / unit, order)
        coefficients = _fit(design[own[pairs.second]], target)
        predicted = design @ coefficients
    return predicted, _log10_odds(lists, predicted, n_terms, _log10_trials(lists, pointing))


def _fit(design: FloatArray, target: FloatArray) -> FloatArray:
    """Fit both coordinates, once more without the pairs that are far off."""
    used = np.ones(len(design), dtype=bool)
    for _ in range(3):
        coefficients = np.linalg.lstsq(design[used], target[used], rcond=None)[0]
        miss = np.hypot(*(target - design @ coefficients).T)
        kept = miss <= max(_CLIP * float(np.median(miss[used])), 0.5)
        if np.array_equal(kept, used) or kept.sum() <= design.shape[1]:
            break
        used = kept
    return np.asarray(coefficients, dtype=np.float64)


def _n_terms(order: int) -> int:
    return (order + 1) * (order + 2) // 2


def _design(points: FloatArray, order: int) -> FloatArray:
    v, u = points.T
    return np.stack(
        [v ** (degree - q) * u**q for degree in range(order + 1) for q in range(degree + 1)], axis=1
    )


def _inside(points: FloatArray, half_size: FloatArray) -> npt.NDArray[np.bool_]:
    return np.asarray((np.abs(points) <= half_size).all(axis=1), dtype=np.bool_)


def _log10_trials(lists: _Lists, pointing: Pointing) -> float:
    """Return the logarithm of the number of maps that could be told apart."""
    n_maps = sum(1 for _ in _linear_maps(lists.half_diagonal, pointing))
    return float(np.log10(n_maps * (2.0 * pointing.radius_pix / _CELL_PIX) ** 2))


def _log10_odds(lists: _Lists, predicted: FloatArray, n_terms: int, log10_trials: float) -> float:
    """Return minus the logarithm of the probability that chance pairs as many stars."""
    judged = lists.order[:_MAX_VERIFIED]
    own = judged[_inside(predicted[judged], lists.half_size)]
    best = 0.0
    for factor in (1, 3):
        bright = lists.bright[: max(factor * len(own), 50)]
        for radius in _EVIDENCE_RADII_PIX:
            n_pairs = len(match_plane(lists.detected[bright], predicted[own], radius).first)
            chance = 1.0 - np.exp(-len(bright) * np.pi * radius**2 / lists.area)
            # As many pairs as the map has terms are spent on it: only the others are evidence.
            n_evidence = n_pairs - n_terms
            if n_evidence > 0:
                n_free = max(len(own) - n_terms, n_evidence)
                tail = float(bdtrc(n_evidence - 1, n_free, chance))
                best = max(best, -np.log10(max(tail, 1e-300)) - log10_trials)
    return float(best)
