"""Errors of lsstpipe and of a peer over the same stars of one scene, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from _peers_scene import Truth
from _peers_score import MATCH_PIX, inside, isolated
from astropy.stats import biweight_scale
from scipy.spatial import cKDTree
from scipy.stats import norm

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

SNR_RANGES = ((5, 10), (10, 30), (30, 100), (100, 250), (250, 1000))
MIN_STARS = 10
"""Fewest stars of a scene that an error is taken of."""
_DETECTED_AT = 5.0
_REACH_PIX = 20.0
_BLEND_SHARE = 0.1
_MMAG = 2500.0 / np.log(10.0)

Kind = Literal["ratio", "rms", "mean"]
"""Errors are compared scene by scene; where one may be 0, their rms over the scenes are; those that
have a sign and are the same in every scene, by their means."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One error of both programs in one scene.

    Attributes
    ----------
    quantity, unit
        What is wrong, and in what unit.
    peer
        The other program.
    kind
        How it is compared over scenes.
    errors
        That of lsstpipe and that of the peer.
    n
        Stars or places that both are taken of.
    """

    quantity: str
    unit: str
    peer: str
    kind: Kind
    errors: Sequence[float]
    n: int


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a program says of the sources of a scene.

    Attributes
    ----------
    y, x
        Positions, pixels from 0; NaN where there is none.
    values
        What is compared, shape ``(n,)`` for fluxes and ``(n, 2)`` for positions.
    is_good
        Sources without a flag.
    """

    y: FloatArray
    x: FloatArray
    values: FloatArray
    is_good: BoolArray


def blended(truth: Truth) -> BoolArray:
    """Find unsaturated stars with a tenth of their light or more around them.

    Those with a brighter object so near that a detection may be that object's are left out.
    """
    place = np.stack([truth.y, truth.x], axis=1)
    tree, flux = cKDTree(place), truth.flux_electron
    around = np.array([flux[near].sum() for near in tree.query_ball_point(place, _REACH_PIX)])
    brightest = np.array([flux[near].max() for near in tree.query_ball_point(place, 2 * MATCH_PIX)])
    good = truth.is_point & ~truth.is_saturated & inside(truth, truth.y, truth.x)
    result: BoolArray = good & (around > (1 + _BLEND_SHARE) * flux) & (brightest <= flux)
    return result


def match_both(
    truth: Truth, chosen: BoolArray, ours: Measured, theirs: Measured
) -> tuple[IntArray, IntArray, IntArray]:
    """Find the stars that both programs have, without flags.

    Returns
    -------
    star, row, peer_row
        Rows of the truth and of both catalogues, shapes ``(n,)``.
    """
    star = np.flatnonzero(chosen)
    place = np.stack([truth.y[star], truth.x[star]], axis=1)
    rows, kept = [], np.ones(len(star), dtype=bool)
    for found in (ours, theirs):
        usable = np.isfinite(found.y) & np.isfinite(found.x)
        where = np.where(usable[:, None], np.stack([found.y, found.x], axis=1), -1e6)
        distance, row = cKDTree(where).query(place)
        kept &= (distance < MATCH_PIX) & found.is_good[row]
        rows.append(row)
    return star[kept], rows[0][kept], rows[1][kept]


def pair_centroids(truth: Truth, ours: Measured, theirs: Measured, peer: str) -> Iterator[Pair]:
    """Compare the scatter of positions about the truth, isolated and blended stars apart."""
    true = np.stack([truth.y, truth.x], axis=1)
    for name, chosen in (("isolated", isolated(truth)), ("blended", blended(truth))):
        star, row, peer_row = match_both(truth, chosen, ours, theirs)
        off = ours.values[row] - true[star], theirs.values[peer_row] - true[star]
        for label, of in _ranges(truth.signal_to_noise[star]):
            spreads = [_spread(values[of]) for values in off]
            yield Pair(f"centroid, {name}, {label}", "pix", peer, "ratio", spreads, int(of.sum()))


def pair_fluxes(
    truth: Truth, ours: Measured, theirs: Measured, *, kind: str, peer: str
) -> Iterator[Pair]:
    """Compare bias and scatter of the fluxes of isolated stars, on the scale of the brightest.

    No peer has a zero point: both programs' fluxes are put on the scale of the same stars of the
    highest range of signal-to-noise ratio, and the bias is the change with brightness from there.
    """
    star, row, peer_row = match_both(truth, isolated(truth), ours, theirs)
    snr = truth.signal_to_noise[star]
    ratios = []
    for values in (ours.values[row], theirs.values[peer_row]):
        ratio = values / truth.flux_electron[star]
        ratios.append(ratio / np.median(ratio[snr > SNR_RANGES[-1][0]]))
    for label, of in _ranges(snr):
        n = int(of.sum())
        spreads = [_MMAG * _spread(ratio[of][:, None]) for ratio in ratios]
        yield Pair(f"{kind} flux scatter, {label}", "mmag", peer, "ratio", spreads, n)
        if label == _label(*SNR_RANGES[-1]):
            continue
        biases = [_MMAG * float(np.median(ratio[of]) - 1) for ratio in ratios]
        yield Pair(f"{kind} flux bias, {label}", "mmag", peer, "mean", biases, n)
        if kind == "psf":
            ideal = ideal_bias(snr[of])
            biases = [_MMAG * float(np.median(ratio[of] - 1 - ideal)) for ratio in ratios]
            name = f"{kind} flux bias beyond an ideal one's, {label}"
            yield Pair(name, "mmag", peer, "mean", biases, n)


def ideal_bias(snr: FloatArray) -> FloatArray:
    """Give the relative bias of an ideal PSF flux of a detected star.

    A fit moves to where the flux is largest, which adds 1 / snr standard errors, and a star is
    found if that flux is above the threshold of detection. An ideal flux is freed of the first,
    but nothing is known of the stars that were not found: the bias is the median of what is left
    of the normal distribution. Where a catalogue lacks it, another error makes faint stars fainter.

    Parameters
    ----------
    snr
        True signal-to-noise ratios, shape ``(n,)``.
    """
    lost = norm.cdf(_DETECTED_AT - (snr + 1 / snr))
    result: FloatArray = norm.ppf(0.5 * (1 + lost)) / snr
    return result


def pair_psfs(ours: FloatArray, theirs: FloatArray, peer: str) -> Iterator[Pair]:
    """Compare the errors of PSF models on a grid of places.

    Parameters
    ----------
    ours, theirs
        Errors of size (dT/T) and of both ellipticities, shape ``(3, n)``.
    peer
        Name of the other model.
    """
    n = ours.shape[1]
    for name, of in (("size dT/T", [0]), ("shape e1, e2", [1, 2])):
        rms = [1e3 * float(np.sqrt(np.mean(off[of] ** 2))) for off in (ours, theirs)]
        yield Pair(f"PSF {name}, rms", "1e-3", peer, "ratio", rms, n)
        spread = [1e3 * float(np.sqrt(np.mean(off[of].var(axis=1)))) for off in (ours, theirs)]
        yield Pair(f"PSF {name}, spread in a detector", "1e-3", peer, "ratio", spread, n)
        for row in of:
            means = [1e3 * float(off[row].mean()) for off in (ours, theirs)]
            axis = name if row == 0 else f"shape e{row}"
            yield Pair(f"PSF {axis}, mean of a detector", "1e-3", peer, "rms", means, n)


def pair_maps(
    ours: tuple[FloatArray, FloatArray], theirs: tuple[FloatArray, FloatArray], peer: str
) -> Iterator[Pair]:
    """Compare the errors of maps to the sky on a grid, along ra and dec, milliarcseconds."""
    for axis, own, other in zip(("ra", "dec"), ours, theirs, strict=True):
        rms = [float(np.sqrt(np.mean(off**2))) for off in (own, other)]
        yield Pair(f"astrometric map, {axis}", "mas", peer, "ratio", rms, len(own))


def _ranges(snr: FloatArray) -> Iterator[tuple[str, BoolArray]]:
    """Give the ranges of signal-to-noise ratio with enough stars, and which are in each."""
    for low, high in SNR_RANGES:
        chosen = (snr > low) & (snr < high)
        if chosen.sum() >= MIN_STARS:
            yield _label(low, high), chosen


def _label(low: int, high: int) -> str:
    return f"S/N {low}-{high}"


def _spread(off: FloatArray) -> float:
    """Take the scatter over all columns, of which each has its own middle.

    Tukey's biweight passes outliers by, and is nearly as efficient as a standard deviation, which
    the median of deviations is not.
    """
    return float(biweight_scale((off - np.median(off, axis=0)).ravel()))
