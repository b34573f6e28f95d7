"""Choice of the stars that a PSF model is learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from lsstpipe.algorithms._window_kernel import bits_near
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.mask import INVALID, MaskPlane, has

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class StarCandidates:
    """What is known of the sources among which stars are looked for.

    Attributes
    ----------
    y, x
        Absolute centroids, shape ``(n,)``.
    flux, flux_error
        Any flux that ranks them, and its error.
    sigma
        Width from the adaptive moments in pixels; NaN where unknown.
    """

    y: FloatArray
    x: FloatArray
    flux: FloatArray
    flux_error: FloatArray
    sigma: FloatArray


@dataclass(frozen=True, slots=True)
class StarSettings:
    """How to choose PSF stars.

    Attributes
    ----------
    min_snr
        Least signal-to-noise ratio; it is halved, down to 20, while there are fewer stars than
        ``n_wanted``.
    n_wanted, n_most
        Stars at which to stop lowering the limit, and the most to take, brightest first.
    isolation
        Neighbours within this many PSF sigmas count.
    max_neighbour_flux
        Largest flux of all such neighbours as a share of the star's own.
    core
        No pixel within this many PSF sigmas may be invalid.
    size_tolerance
        Largest relative deviation from the size of the stars around.
    reserve_every
        One star of this many, in order of brightness, is kept out of the fit.
    first_sigma
        Width that a star may have, in pixels, before it is known which sources are stars.
    """

    min_snr: float = 50.0
    n_wanted: int = 60
    n_most: int = 300
    isolation: float = 9.0
    max_neighbour_flux: float = 0.05
    core: float = 3.5
    size_tolerance: float = 0.15
    reserve_every: int = 5
    first_sigma: float = 1.3


@dataclass(frozen=True, slots=True, eq=False)
class StarSelection:
    """The stars that were chosen.

    Attributes
    ----------
    index
        Their numbers among the candidates, brightest first.
    is_reserved
        True for those kept out of the fit, same length.
    sigma
        Typical width of a star in pixels.
    """

    index: IntArray
    is_reserved: BoolArray
    sigma: float


def select_psf_stars(
    planes: Planes, candidates: StarCandidates, settings: StarSettings | None = None
) -> StarSelection:
    """Choose bright, isolated, unspoilt sources of the size of a star.

    Stars are the densest cluster of sizes among the bright sources that stand alone: the knots of
    one large galaxy can be more than the stars of a field, and as like each other. A plane fitted
    to the sizes in the cluster follows a PSF that varies over the image.

    Parameters
    ----------
    planes
        Image, variance and mask.
    candidates
        Sources of the image.
    settings
        How to choose.

    Returns
    -------
    StarSelection
        The stars, possibly none.
    """
    chosen = settings or StarSettings()
    snr = candidates.flux / candidates.flux_error
    sound = np.isfinite(snr) & np.isfinite(candidates.sigma) & (candidates.sigma > 0.3)
    limit = chosen.min_snr
    while True:
        bright = np.flatnonzero(sound & (snr > limit))
        index, sigma = _stars(planes, candidates, bright, chosen)
        if len(index) >= chosen.n_wanted or limit <= 20.0:
            break
        limit = max(20.0, 0.5 * limit)
    index = index[np.argsort(-candidates.flux[index], kind="stable")][: chosen.n_most]
    rank = np.arange(len(index))
    reserved = rank % chosen.reserve_every == chosen.reserve_every // 2
    return StarSelection(index, reserved, sigma)


def _stars(
    planes: Planes, candidates: StarCandidates, bright: IntArray, settings: StarSettings
) -> tuple[IntArray, float]:
    """Apply all the cuts to the bright candidates."""
    if len(bright) < 3:
        return bright[:0], float("nan")
    alone = bright[_isolated(candidates, bright, settings.first_sigma, settings)]
    sigma = _densest(candidates.sigma[alone if len(alone) >= 3 else bright])
    clean = _clean(planes, candidates, bright, settings.core * sigma)
    index = bright[clean & _isolated(candidates, bright, sigma, settings)]
    near = np.abs(candidates.sigma[index] / sigma - 1.0) < 2.0 * settings.size_tolerance
    index = index[near]
    return index[_on_locus(candidates, index, settings.size_tolerance)], sigma


def typical_size(candidates: StarCandidates) -> float:
    """Find the size that most sources have, in pixels; 0 if too few sizes are known.

    Parameters
    ----------
    candidates
        The sources.
    """
    known = candidates.sigma[np.isfinite(candidates.sigma)]
    return _densest(known) if len(known) >= 3 else 0.0


def _densest(sizes: FloatArray) -> float:
    """Find the mode of a sample by halving it until three values are left (half-sample mode)."""
    values = np.sort(sizes)
    while len(values) > 3:
        n_half = (len(values) + 1) // 2
        spans = values[n_half - 1 :] - values[: len(values) - n_half + 1]
        first = int(np.argmin(spans))
        values = values[first : first + n_half]
    return float(np.median(values))


def _clean(planes: Planes, candidates: StarCandidates, index: IntArray, radius: float) -> BoolArray:
    """Find the sources without an invalid pixel or an edge in their core."""
    reach = int(np.ceil(radius))
    y = np.floor(candidates.y[index] - planes.y0 + 0.5).astype(np.int64)
    x = np.floor(candidates.x[index] - planes.x0 + 0.5).astype(np.int64)
    ny, nx = planes.mask.shape
    inside = (y >= reach) & (x >= reach) & (y < ny - reach) & (x < nx - reach)
    clean = np.zeros(len(index), dtype=np.bool_)
    near = bits_near(planes.mask, np.stack([y, x], axis=1)[inside], reach)
    clean[inside] = ~has(near, INVALID | MaskPlane.SUSPECT | MaskPlane.EDGE)
    return clean


def _isolated(
    candidates: StarCandidates, index: IntArray, sigma: float, settings: StarSettings
) -> BoolArray:
    """Find the sources whose neighbours are faint."""
    known = np.flatnonzero(np.isfinite(candidates.flux) & np.isfinite(candidates.y + candidates.x))
    positions = np.stack([candidates.y[known], candidates.x[known]], axis=1)
    flux = np.clip(candidates.flux[known], 0.0, None)
    tree = cKDTree(positions)
    own = np.stack([candidates.y[index], candidates.x[index]], axis=1)
    near = tree.query_ball_point(own, settings.isolation * sigma, return_sorted=True)
    around = np.array([flux[n].sum() for n in near]) - np.clip(candidates.flux[index], 0.0, None)
    isolated: BoolArray = around < settings.max_neighbour_flux * candidates.flux[index]
    return isolated


def _on_locus(candidates: StarCandidates, index: IntArray, tolerance: float) -> BoolArray:
    """Find the sources whose size lies on a plane through the sizes, clipped."""
    size = np.log(candidates.sigma[index])
    kept = np.ones(len(index), dtype=np.bool_)
    if len(index) < 10:
        return kept
    y, x = candidates.y[index], candidates.x[index]
    design = np.stack([np.ones(len(index)), y / (np.ptp(y) + 1.0), x / (np.ptp(x) + 1.0)], axis=1)
    for _ in range(5):
        plane = np.linalg.lstsq(design[kept], size[kept], rcond=None)[0]
        deviation = np.abs(size - design @ plane)
        width = 1.4826 * float(np.median(deviation[kept]))
        kept = deviation < min(max(3.0 * width, 0.01), tolerance)
    return kept
