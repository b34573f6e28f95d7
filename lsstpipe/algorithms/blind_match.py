"""Find where a frame points: scale and centre roughly known, rotation and parity unknown.

Every pair of detected stars that is as long as a pair of catalogue stars proposes a similarity
(rotation, scale, offset, for each parity). True pairs agree with each other: k common stars cast
k (k - 1) / 2 votes on one point of the space of similarities, false ones scatter over all of it.
The best cells are verified by counting stars that fall on each other, judged against chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc

from lsstpipe.algorithms.match import match_plane
from lsstpipe.errors import AlgorithmError
from lsstpipe.geometry.sphere import gnomonic_project
from lsstpipe.geometry.wcs import SkyWcs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
ComplexArray = npt.NDArray[np.complex128]

_TRIES = ((25, 1.0), (50, 1.0), (50, 2.0), (100, 2.0))
"""How many bright detections vote, and how many catalogue stars a unit of area for each of them."""
_MAX_REFERENCE_VOTERS = 150
_CELL_PIX = 6.0
_MIN_PAIR_FRACTION = 0.1
_N_CELLS = 20
_EVIDENCE = ((2, 1.0), (2, 2.0), (6, 1.0), (6, 2.0), (6, 4.0))
"""How many bright detections for each catalogue star, and how close pairs count, pixels."""
_MIN_TESTED = 50
_MAX_VERIFIED = 100
"""How many of the brightest catalogue stars in the frame a candidate is judged by."""
_AFFINE_RADII_PIX = (12.0, 6.0, 4.0, 4.0)
_MIN_AFFINE_STARS = 5


@dataclass(frozen=True)
class PointingGuess:
    """What is known of a frame before it is solved."""

    ra_deg: float
    """Right ascension near the centre of the frame, degrees."""
    dec_deg: float
    """Declination near the centre of the frame, degrees."""
    radius_arcmin: float
    """How far the true centre may be from the guess, arcmin."""
    pixel_scale_arcsec: float
    """Size of a pixel, arcsec."""
    scale_tolerance: float
    """Relative error that the pixel scale may have."""
    rotation_deg: float = float("nan")
    """Direction of +y of the frame, from north through east, degrees; NaN if unknown."""
    is_mirrored: bool = False
    """Whether +x of the frame is east where +y is north; of no use without the rotation."""


@dataclass(frozen=True)
class BlindMatch:
    """A frame put on the sky."""

    wcs: SkyWcs
    """Linear map that the match found."""
    detection: IntArray
    """Index of each matched detection, rising."""
    reference: IntArray
    """Index of the catalogue star of each matched detection."""
    log10_odds: float
    """Minus the logarithm of the probability that chance matches as many, all trials counted."""
    n_expected_by_chance: float
    """Mean count of pairs that a wrong position on the sky would give."""


@dataclass(frozen=True)
class _Candidate:
    affine: FloatArray
    log10_odds: float
    n_expected: float


def match_blind(
    *,
    detections: tuple[FloatArray, FloatArray, FloatArray],
    reference: tuple[FloatArray, FloatArray, FloatArray],
    guess: PointingGuess,
    min_log10_odds: float = 3.0,
) -> BlindMatch:
    """Match detected stars with a catalogue when rotation and parity are unknown.

    Parameters
    ----------
    detections
        Absolute pixel positions y, x and fluxes of the detected stars, shape ``(n,)`` each.
    reference
        Right ascension and declination in degrees, and magnitude, of the catalogue stars.
    guess
        Where the frame may point and how large its pixels are.
    min_log10_odds
        Least significance of a match.

    Returns
    -------
    match
        The linear map and the pairs of all detections and catalogue stars under it.

    Raises
    ------
    AlgorithmError
        There are too few stars, or nothing matches better than chance would.
    """
    y, x, flux = detections
    ra_deg, dec_deg, mag = reference
    usable = np.isfinite(y) & np.isfinite(x) & (flux > 0)
    bright = np.flatnonzero(usable)[np.lexsort((x[usable], y[usable], -flux[usable]))]
    centre = (guess.ra_deg, guess.dec_deg)
    plane = np.stack(gnomonic_project(ra_deg, dec_deg, centre_deg=centre), axis=1)
    if len(bright) < _MIN_AFFINE_STARS:
        raise AlgorithmError(
            f"The frame shows {len(bright)} stars; at least {_MIN_AFFINE_STARS} are needed to "
            "find its position."
        )
    frame = _Frame.enclosing(y[bright], x[bright], guess)
    inside = np.hypot(plane[:, 0], plane[:, 1]) < frame.search_radius_deg
    order = np.flatnonzero(inside)[np.lexsort((plane[inside, 0], mag[inside]))]
    if len(order) < _MIN_AFFINE_STARS:
        raise AlgorithmError(
            f"The reference catalogue has {len(order)} stars within "
            f"{60 * frame.search_radius_deg:.0f} arcmin of ({guess.ra_deg:.4f}, "
            f"{guess.dec_deg:.4f}); at least {_MIN_AFFINE_STARS} are needed."
        )
    n_verified = int(np.ceil(_MAX_VERIFIED * frame.search_area_pix / frame.area_pix))
    stars = _Stars(np.stack([x, y], axis=1), bright, plane, order[:n_verified])
    best: _Candidate | None = None
    for n_voters, density in _TRIES:
        for candidate in _candidates(stars, frame, n_voters, density):
            if best is None or candidate.log10_odds > best.log10_odds:
                best = candidate
        if best is not None and best.log10_odds >= 2.0 * min_log10_odds:
            break
    if best is None or best.log10_odds < min_log10_odds:
        raise AlgorithmError(
            f"No position within {guess.radius_arcmin:g} arcmin of the guess matches the "
            f"{len(bright)} detected stars with the {len(order)} catalogue stars better than "
            f"chance: the best has log10 odds {best.log10_odds if best else 0.0:.1f}, needed are "
            f"{min_log10_odds:g}."
        )
    pairs = match_plane(stars.pixels, _to_pixels(plane, best.affine), _AFFINE_RADII_PIX[-1])
    return BlindMatch(
        _to_wcs(best.affine, frame), pairs.first, pairs.second, best.log10_odds, best.n_expected
    )


@dataclass(frozen=True)
class _Frame:
    """The detections' bounding box and the space of positions to search."""

    centre_pix: tuple[float, float]
    size_pix: tuple[float, float]
    guess: PointingGuess

    @classmethod
    def enclosing(cls, y: FloatArray, x: FloatArray, guess: PointingGuess) -> _Frame:
        centre = (float(y.min() + y.max()) / 2.0, float(x.min() + x.max()) / 2.0)
        return cls(centre, (float(np.ptp(y)) + 1.0, float(np.ptp(x)) + 1.0), guess)

    @property
    def half_diagonal_pix(self) -> float:
        return float(np.hypot(*self.size_pix)) / 2.0

    @property
    def scale_deg(self) -> float:
        return self.guess.pixel_scale_arcsec / 3600.0

    @property
    def area_pix(self) -> float:
        return self.size_pix[0] * self.size_pix[1]

    @property
    def search_radius_deg(self) -> float:
        stretch = 1.0 + self.guess.scale_tolerance
        return self.guess.radius_arcmin / 60.0 + self.half_diagonal_pix * self.scale_deg * stretch

    @property
    def search_area_pix(self) -> float:
        return float(np.pi * (self.search_radius_deg / self.scale_deg) ** 2)

    @property
    def log10_trials(self) -> float:
        """Logarithm of the number of distinguishable similarities."""
        offsets = np.pi * (self.guess.radius_arcmin / 60.0 / self.scale_deg / _CELL_PIX) ** 2
        rotations = 2.0 * np.pi * self.half_diagonal_pix / _CELL_PIX
        scales = 2.0 * self.guess.scale_tolerance * self.half_diagonal_pix / _CELL_PIX
        trials = 2.0 * max(offsets, 1.0) * rotations * max(scales, 1.0) * len(_EVIDENCE)
        return float(np.log10(trials))


@dataclass(frozen=True)
class _Stars:
    """Both lists with their order of brightness."""

    pixels: FloatArray
    bright: IntArray
    plane: FloatArray
    reference_order: IntArray


def _candidates(stars: _Stars, frame: _Frame, n_voters: int, density: float) -> list[_Candidate]:
    """Return the verified similarities of the fullest cells of the vote."""
    n_voters = min(n_voters, len(stars.bright))
    n_reference = int(np.ceil(density * n_voters * frame.search_area_pix / frame.area_pix))
    n_reference = min(n_reference, len(stars.reference_order), _MAX_REFERENCE_VOTERS)
    detected = stars.pixels[stars.bright[:n_voters]] - np.array(frame.centre_pix[::-1])
    reference = stars.plane[stars.reference_order[:n_reference]] / frame.scale_deg
    found: list[_Candidate] = []
    for parity in (1, -1):
        # Complex numbers turn a similarity into one product and one sum.
        z = detected[:, 0] + 1j * parity * detected[:, 1]
        w = reference[:, 0] + 1j * reference[:, 1]
        multiplier, offset = _votes(z, w, frame)
        for a, b in _fullest_cells(multiplier, offset, frame):
            candidate = _verify(stars, frame, _similarity(a, b, parity, frame))
            if candidate is not None:
                found.append(candidate)
    return found


def _votes(z: ComplexArray, w: ComplexArray, frame: _Frame) -> tuple[ComplexArray, ComplexArray]:
    """Return the similarities ``w = a z + b`` that pairs of equal length propose."""
    i, j = np.triu_indices(len(z), 1)
    dz = z[j] - z[i]
    length = np.abs(dz)
    long_enough = length > _MIN_PAIR_FRACTION * frame.half_diagonal_pix
    i, dz, length = i[long_enough], dz[long_enough], length[long_enough]
    k, m = np.nonzero(~np.eye(len(w), dtype=bool))
    dw = w[m] - w[k]
    order = np.argsort(np.abs(dw), kind="stable")
    k, dw, reference_length = k[order], dw[order], np.abs(dw)[order]
    tolerance = frame.guess.scale_tolerance
    low = np.searchsorted(reference_length, length * (1.0 - tolerance))
    n_equal = np.searchsorted(reference_length, length * (1.0 + tolerance)) - low
    pair = np.repeat(np.arange(len(i)), n_equal)
    partner = np.arange(len(pair)) - np.repeat(np.cumsum(n_equal) - n_equal, n_equal) + low[pair]
    multiplier = dw[partner] / dz[pair]
    offset = w[k[partner]] - multiplier * z[i[pair]]
    limit_pix = frame.guess.radius_arcmin / 60.0 / frame.scale_deg + _CELL_PIX
    near = np.abs(offset) < limit_pix
    return multiplier[near], offset[near]


def _fullest_cells(
    multiplier: ComplexArray, offset: ComplexArray, frame: _Frame
) -> list[tuple[complex, complex]]:
    """Return the mean similarity of the fullest cells, of two grids half a cell apart."""
    if len(multiplier) == 0:
        return []
    turn = multiplier * frame.half_diagonal_pix
    coordinates = np.stack([turn.real, turn.imag, offset.real, offset.imag], axis=1) / _CELL_PIX
    found: list[tuple[int, complex, complex]] = []
    for shift in (0.0, 0.5):
        cells = np.floor(coordinates + shift).astype(np.int64)
        cells -= cells.min(axis=0)
        key = np.ravel_multi_index(tuple(cells.T), tuple(cells.max(axis=0) + 1))
        _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
        for cell in np.argsort(-count, kind="stable")[:_N_CELLS]:
            votes = inverse == cell
            found.append(
                (int(count[cell]), complex(multiplier[votes].mean()), complex(offset[votes].mean()))
            )
    found.sort(key=lambda item: -item[0])
    return [(a, b) for _, a, b in found[:_N_CELLS]]


def _similarity(a: complex, b: complex, parity: int, frame: _Frame) -> FloatArray:
    """Return the affine map from pixels (x, y, 1) to the tangent plane, degrees."""
    matrix = np.array([[a.real, -parity * a.imag], [a.imag, parity * a.real]])
    shift = np.array([b.real, b.imag]) - matrix @ np.array(frame.centre_pix[::-1])
    return np.concatenate([matrix, shift[:, None]], axis=1) * frame.scale_deg


def _verify(stars: _Stars, frame: _Frame, affine: FloatArray) -> _Candidate | None:
    """Refine a similarity to an affine map and judge it against chance."""
    reference = stars.plane[stars.reference_order]
    n_tested = max(_EVIDENCE[-1][0] * _n_inside(reference, affine, frame), _MIN_TESTED)
    tested = stars.bright[:n_tested]
    for radius in _AFFINE_RADII_PIX:
        predicted = _to_pixels(reference, affine)
        pairs = match_plane(stars.pixels[tested], predicted, radius)
        if len(pairs.first) < _MIN_AFFINE_STARS:
            return None
        design = np.concatenate(
            [stars.pixels[tested[pairs.first]], np.ones((len(pairs.first), 1))], axis=1
        )
        affine = np.linalg.lstsq(design, reference[pairs.second], rcond=None)[0].T
        if not _plausible(affine, frame):
            return None
    n_inside = _n_inside(reference, affine, frame)
    predicted = _to_pixels(reference, affine)
    odds, n_expected = -np.inf, 0.0
    for n_per_reference, radius in _EVIDENCE:
        judged = stars.bright[: max(n_per_reference * n_inside, _MIN_TESTED)]
        n_pairs = len(match_plane(stars.pixels[judged], predicted, radius).first)
        chance = 1.0 - np.exp(-len(judged) * np.pi * radius**2 / frame.area_pix)
        here = _log10_odds(n_pairs, n_inside, chance) - frame.log10_trials
        if here > odds:
            odds, n_expected = here, chance * n_inside
    return _Candidate(affine, float(odds), float(n_expected))


def _log10_odds(n_pairs: int, n_inside: int, chance: float) -> float:
    """Return minus the logarithm of the probability that chance pairs as many stars."""
    # Three pairs are spent on the affine map: only the others are evidence.
    n_evidence = n_pairs - 3
    if n_evidence <= 0:
        return 0.0
    tail = float(bdtrc(n_evidence - 1, max(n_inside - 3, n_evidence), chance))
    return float(-np.log10(max(tail, 1e-300)))


def _plausible(affine: FloatArray, frame: _Frame) -> bool:
    """Tell whether an affine map is near a similarity of the allowed scale and position."""
    stretch = np.linalg.svd(affine[:, :2], compute_uv=False) / frame.scale_deg
    tolerance = frame.guess.scale_tolerance + 2.0 * _CELL_PIX / frame.half_diagonal_pix
    centre = affine @ np.array([frame.centre_pix[1], frame.centre_pix[0], 1.0])
    limit_deg = frame.guess.radius_arcmin / 60.0 + 2.0 * _CELL_PIX * frame.scale_deg
    return bool(np.all(np.abs(stretch - 1.0) < tolerance) and np.hypot(*centre) < limit_deg)


def _to_pixels(plane: FloatArray, affine: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.solve(affine[:, :2], (plane - affine[:, 2]).T).T)


def _n_inside(plane: FloatArray, affine: FloatArray, frame: _Frame) -> int:
    """Count the catalogue stars within the frame."""
    offset = np.abs(_to_pixels(plane, affine) - np.array(frame.centre_pix[::-1]))
    return int(np.sum((offset <= np.array(frame.size_pix[::-1]) / 2.0).all(axis=1)))


def _to_wcs(affine: FloatArray, frame: _Frame) -> SkyWcs:
    """Return the linear map whose reference position is the guess."""
    x, y = np.linalg.solve(affine[:, :2], -affine[:, 2])
    (c11, c12), (c21, c22) = affine[:, :2].tolist()
    return SkyWcs(
        (float(y), float(x)), (frame.guess.ra_deg, frame.guess.dec_deg), ((c11, c12), (c21, c22))
    )
