"""Artefacts of known pixels, planted in warps to tell what share of such pixels is removed.

A hot pixel and the track of a cosmic ray are drawn in the pixels of a detector and resampled to a
random fraction of a pixel, so that they ring as real ones do; the trail of a satellite is as wide
as the PSF. Each warp receives one kind, so that a pixel of the patch has its artefact in one warp
and seldom in a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.combine import EXCLUDED, Coadd, WarpStack
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.resample import warp
from lsstpipe.algorithms.single_warp import FEWEST_WARPS
from lsstpipe.geometry.box import Box
from lsstpipe.image.mask import has

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

KINDS = ("hot pixel", "cosmic ray", "trail")
"""Kind of the artefacts of a warp: that of its number modulo their count."""

_PIXELS_PER_ARTEFACT = 5000
_SIGNIFICANCE = (5.0, 100.0)
_TRAIL_SIGNIFICANCE = (5.0, 30.0)
_LONGEST_TRACK = 20


@dataclass(frozen=True, slots=True)
class Planted:
    """What was found of the artefacts of one kind.

    Attributes
    ----------
    kind
        One of `KINDS`.
    n_pixels
        Pixels of warps that the artefacts lift above the limit.
    n_removed
        Those of them that were clipped.
    n_lifted
        Pixels of the coadd that all artefacts would lift above the limit.
    n_left
        Pixels of the coadd that what was not clipped lifts above the limit.
    """

    kind: str
    n_pixels: int
    n_removed: int
    n_lifted: int
    n_left: int


def plant(
    stack: WarpStack,
    psf_sigma: FloatArray,
    rng: np.random.Generator,
    variance_factors: FloatArray,
) -> FloatImage:
    """Draw artefacts that begin at 5 sigma of the sky, one kind a warp.

    Parameters
    ----------
    stack
        The warps; they stay as they are.
    psf_sigma
        Width of the PSF of each, the Gaussian sigma in pixels, shape ``(n,)``.
    rng
        Where the artefacts lie, and how bright they are.
    variance_factors
        By what the variance of each warp was multiplied for its covariance, shape ``(n,)``: an
        artefact is of single pixels.

    Returns
    -------
    planted
        What is to be added to each warp, shape ``(n, ny, nx)``. Its photons add no noise.
    """
    planted = np.zeros(stack.image.shape, dtype=np.float32)
    for i, variance in enumerate(stack.variance):
        good = np.isfinite(variance) & ~has(stack.mask[i], EXCLUDED)
        if not np.any(good):
            continue
        noise = math.sqrt(float(np.median(variance[good] / np.float32(variance_factors[i]))))
        kind = KINDS[i % len(KINDS)]
        if kind == "trail":
            planted[i] = noise * _draw_trail(variance.shape, float(psf_sigma[i]), rng)
        else:
            longest = 1 if kind == "hot pixel" else _LONGEST_TRACK
            planted[i] = noise * _shift(_draw_tracks(variance.shape, longest, rng), rng)
    return planted


def _draw_tracks(shape: tuple[int, int], longest: int, rng: np.random.Generator) -> FloatImage:
    """Draw straight tracks of single pixels, in units of the noise."""
    canvas = np.zeros(shape, dtype=np.float32)
    for _ in range(math.ceil(canvas.size / _PIXELS_PER_ARTEFACT)):
        y, x = rng.uniform(0.0, shape)
        angle, steps = rng.uniform(0.0, 2.0 * math.pi), np.arange(rng.integers(1, longest + 1))
        rows = np.floor(y + steps * math.sin(angle)).astype(np.int64)
        columns = np.floor(x + steps * math.cos(angle)).astype(np.int64)
        inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
        canvas[rows[inside], columns[inside]] = _draw_height(_SIGNIFICANCE, rng)
    return canvas


def _draw_trail(shape: tuple[int, int], psf_sigma: float, rng: np.random.Generator) -> FloatImage:
    """Draw a straight line across the whole patch, as wide as the PSF, in units of the noise."""
    y, x = rng.uniform(0.25, 0.75, 2) * shape
    angle = rng.uniform(0.0, math.pi)
    rows, columns = np.indices(shape, dtype=np.float32)
    distance = (rows - y) * math.cos(angle) - (columns - x) * math.sin(angle)
    height = _draw_height(_TRAIL_SIGNIFICANCE, rng)
    return np.asarray(height * np.exp(-0.5 * (distance / psf_sigma) ** 2), dtype=np.float32)


def _draw_height(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw a height of which each factor of ten is as likely as the next."""
    low, high = np.log10(limits)
    return float(10.0 ** rng.uniform(low, high))


def _shift(canvas: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Resample by a random fraction of a pixel; what lies beyond the canvas is zero."""
    dy, dx = rng.uniform(0.0, 1.0, 2)

    def to_source(y: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        return y + dy, x + dx

    planes = Planes(canvas, np.zeros_like(canvas), np.zeros(canvas.shape, dtype=np.int32))
    shifted = warp(planes, Box(0, 0, *canvas.shape), to_source).image
    return np.where(np.isfinite(shifted), shifted, np.float32(0.0))


def judge(
    stack: WarpStack,
    coadd: Coadd,
    planted: FloatImage,
    clipped: BoolArray,
    variance_factors: FloatArray,
    n_sigma: float = 5.0,
) -> list[Planted]:
    """Count the planted pixels that were removed, and what is left of them on the coadd.

    Parameters
    ----------
    stack
        The warps, with what was CLIPPED from them without the artefacts in the mask.
    coadd
        Their mean.
    planted
        What was added to them, shape ``(n, ny, nx)``.
    clipped
        What the search took from the warps with the artefacts, shape ``(n, ny, nx)``.
    variance_factors
        As for `plant`.
    n_sigma
        Significance that counts: in a warp against the noise of its pixel, on the coadd against
        that of the coadd's.

    Returns
    -------
    list of Planted
        One entry a kind. Pixels that the coadd would leave out anyway, and those of fewer than 5
        warps, do not count.
    """
    n_warps = np.zeros(planted[0].shape, dtype=np.int32)
    for i in range(len(planted)):
        n_warps += stack.good(i)
    enough = n_warps >= FEWEST_WARPS
    weights = coadd.weights.astype(np.float32)
    all_planted, not_clipped = _Lift.none(enough.shape), _Lift.none(enough.shape)
    n_pixels, n_removed = [0] * len(KINDS), [0] * len(KINDS)
    for i, own in enumerate(planted):
        kind, use = i % len(KINDS), stack.good(i) & enough
        with np.errstate(invalid="ignore"):
            noise = np.sqrt(stack.variance[i] / np.float32(variance_factors[i]))
            bright = use & (np.abs(own) > n_sigma * noise)
        n_pixels[kind] += int(bright.sum())
        n_removed[kind] += int((bright & clipped[i]).sum())
        all_planted.add(own, weights[i] * use, kind)
        not_clipped.add(own, weights[i] * (use & ~clipped[i]), kind)
    with np.errstate(invalid="ignore"):
        limit = n_sigma * np.sqrt(coadd.planes.variance)
        n_lifted, n_left = (lift.count(limit) for lift in (all_planted, not_clipped))
    counts = zip(KINDS, n_pixels, n_removed, n_lifted, n_left, strict=True)
    return [Planted(*entry) for entry in counts]


@dataclass(frozen=True, slots=True, eq=False)
class _Lift:
    """By how much each kind of artefact lifts or lowers the mean, as sums over the warps.

    Attributes
    ----------
    added
        Planted values times weights, shape ``(3, ny, nx)``.
    total
        Weights, shape ``(ny, nx)``.
    """

    added: FloatImage
    total: FloatImage

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> _Lift:
        """Begin with no warp."""
        return cls(np.zeros((len(KINDS), *shape), np.float32), np.zeros(shape, np.float32))

    def add(self, planted: FloatImage, share: FloatImage, kind: int) -> None:
        """Add a warp."""
        self.total[...] += share
        self.added[kind] += share * planted

    def count(self, limit: npt.NDArray[np.floating]) -> list[int]:
        """Count the pixels that each kind displaces by more than a limit."""
        total = np.where(self.total > 0, self.total, np.float32(1.0))
        return [int((np.abs(added) / total > limit).sum()) for added in self.added]
