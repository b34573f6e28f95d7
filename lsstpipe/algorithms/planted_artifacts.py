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


def plant(stack: WarpStack, psf_sigma: FloatArray, rng: np.random.Generator) -> FloatImage:
    """Draw artefacts that begin at 5 sigma of the sky, one kind a warp.

    Parameters
    ----------
    stack
        The warps; they stay as they are. Their variance is that of single pixels.
    psf_sigma
        Width of the PSF of each, the Gaussian sigma in pixels, shape ``(n,)``.
    rng
        Where the artefacts lie, and how bright they are.

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
        noise = math.sqrt(float(np.median(variance[good])))
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
    stack: WarpStack, coadd: Coadd, planted: FloatImage, clipped: BoolArray, n_sigma: float = 5.0
) -> list[Planted]:
    """Count the planted pixels that were removed, and what is left of them on the coadd.

    Parameters
    ----------
    stack
        The warps without the artefacts, with what was CLIPPED from them in the mask. Their variance
        is that of single pixels, without covariance.
    coadd
        Their mean.
    planted
        What was added to them, shape ``(n, ny, nx)``.
    clipped
        What the search took from the warps with the artefacts, shape ``(n, ny, nx)``.
    n_sigma
        Significance that counts: in a warp against the noise of its pixel, on the coadd against
        that of the coadd's.

    Returns
    -------
    list of Planted
        One entry a kind. Pixels that the coadd would leave out anyway, and those of fewer than 5
        warps, do not count.
    """
    use = np.isfinite(stack.image) & np.isfinite(stack.variance) & ~has(stack.mask, EXCLUDED)
    use &= use.sum(axis=0) >= FEWEST_WARPS
    with np.errstate(invalid="ignore"):
        bright = use & (np.abs(planted) > n_sigma * np.sqrt(stack.variance))
        limit = n_sigma * np.sqrt(coadd.planes.variance)
        lifted = _lift(planted, use, coadd.weights) > limit
        left = _lift(planted, use & ~clipped, coadd.weights) > limit
    result = []
    for k, kind in enumerate(KINDS):
        own = slice(k, None, len(KINDS))
        result.append(
            Planted(
                kind,
                n_pixels=int(bright[own].sum()),
                n_removed=int((bright[own] & clipped[own]).sum()),
                n_lifted=int(lifted[k].sum()),
                n_left=int(left[k].sum()),
            )
        )
    return result


def _lift(planted: FloatImage, use: BoolArray, weights: FloatArray) -> FloatImage:
    """Find by how much each kind of artefact lifts or lowers the mean, shape ``(3, ny, nx)``."""
    share = weights.astype(np.float32)[:, None, None] * use
    total = share.sum(axis=0)
    added = share * planted
    kinds = [added[k :: len(KINDS)].sum(axis=0) for k in range(len(KINDS))]
    return np.asarray(np.abs(kinds) / np.where(total > 0, total, np.float32(1.0)))
