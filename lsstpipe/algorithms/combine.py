"""Weighted mean of warps: the coadd.

As in Rubin's CompareWarpAssembleCoadd (Bosch et al. 2018, PASJ 70, S5, section 4.1) the mean is
linear: each warp has one weight for all its pixels, and nothing is clipped here, so that the PSF of
the coadd is the weighted mean of the PSFs of its inputs wherever all of them take part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._combine_kernel import weighted_mean
from lsstpipe.algorithms.planes import Planes
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.mask import MaskArray, MaskPlane, has

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

EXCLUDED = (
    MaskPlane.BAD | MaskPlane.SAT | MaskPlane.CR | MaskPlane.NO_DATA | MaskPlane.UNMASKEDNAN
    | MaskPlane.CLIPPED | MaskPlane.STREAK
)  # fmt: skip
"""Planes whose pixels are not averaged, unless no warp has a better value."""

_NOT_PROPAGATED = (
    MaskPlane.DETECTED | MaskPlane.DETECTED_NEGATIVE | MaskPlane.EDGE | MaskPlane.CLIPPED
)
_CLIP_SIGMA = 3.0
_N_CLIP_ROUNDS = 3


@dataclass(frozen=True, slots=True, eq=False)
class WarpStack:
    """Warps of one patch on one pixel grid.

    Attributes
    ----------
    image, variance
        Values and variance, float32, shape ``(n, ny, nx)``; NaN without data.
    mask
        Bits of `MaskPlane`, int32, shape ``(n, ny, nx)``.
    y0, x0
        Absolute coordinates of the first pixel.
    """

    image: npt.NDArray[np.float32]
    variance: npt.NDArray[np.float32]
    mask: MaskArray
    y0: int = 0
    x0: int = 0

    def __post_init__(self) -> None:
        """Check the shapes."""
        if self.image.ndim != 3 or not self.image.shape == self.variance.shape == self.mask.shape:
            raise ValueError(
                "image, variance and mask must have one shape (n, ny, nx), got "
                f"{self.image.shape}, {self.variance.shape}, {self.mask.shape}"
            )

    @classmethod
    def of(cls, warps: Sequence[Planes], variance_factors: FloatArray) -> WarpStack:
        """Stack warps and correct their variance for covariance.

        Parameters
        ----------
        warps
            Warps of one box, at least one.
        variance_factors
            Factor for the variance of each, from `resample.covariance_factor`, shape ``(n,)``.

        Returns
        -------
        WarpStack
            The stack.
        """
        if len({(warp.y0, warp.x0, warp.image.shape) for warp in warps}) != 1:
            raise ValueError("a stack needs at least one warp, and all of one box")
        variance = np.stack([warp.variance for warp in warps])
        variance *= np.asarray(variance_factors, dtype=np.float32)[:, None, None]
        return cls(
            np.stack([warp.image for warp in warps]),
            variance,
            np.stack([warp.mask for warp in warps]),
            warps[0].y0,
            warps[0].x0,
        )

    def good(self, which: int | slice = slice(None)) -> BoolArray:
        """Find the pixels that are averaged where some warp has a good one.

        Parameters
        ----------
        which
            The warps: a number gives shape ``(ny, nx)``, a slice ``(m, ny, nx)``.
        """
        finite = np.isfinite(self.image[which]) & np.isfinite(self.variance[which])
        return np.asarray(finite & ~has(self.mask[which], EXCLUDED))


@dataclass(frozen=True, slots=True, eq=False)
class Coadd:
    """The mean of a stack of warps.

    Attributes
    ----------
    planes
        Image, variance and mask.
    n_image
        Number of warps in each pixel, int32, shape ``(ny, nx)``.
    weights
        Weight of each warp, sum 1, shape ``(n,)``.
    """

    planes: Planes
    n_image: npt.NDArray[np.int32]
    weights: FloatArray


def warp_weights(stack: WarpStack) -> FloatArray:
    """Weigh each warp by the inverse of its clipped mean variance.

    One number for each warp: weights that followed the variance of single pixels would follow the
    light of the stars, and give bright stars another PSF than faint ones.

    Parameters
    ----------
    stack
        The warps.

    Returns
    -------
    weights
        Sum 1, shape ``(n,)``; 0 for a warp without a good pixel.

    Raises
    ------
    AlgorithmError
        If no warp has a good pixel.
    """
    weights = np.zeros(len(stack.image))
    for i, (variance, mask) in enumerate(zip(stack.variance, stack.mask, strict=True)):
        good = np.isfinite(variance) & (variance > 0.0) & ~has(mask, EXCLUDED)
        if np.any(good):
            weights[i] = 1.0 / _clipped_mean(variance[good].astype(np.float64))
    if not np.any(weights > 0.0):
        raise AlgorithmError("No warp has a good pixel, so there is nothing to combine.")
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _clipped_mean(values: FloatArray) -> float:
    for _ in range(_N_CLIP_ROUNDS):
        middle, spread = np.median(values), np.std(values)
        values = values[np.abs(values - middle) <= _CLIP_SIGMA * spread]
    return float(values.mean())


def combine(stack: WarpStack, weights: FloatArray, *, sat_fraction: float = 0.1) -> Coadd:
    """Average warps with one weight for each.

    Parameters
    ----------
    stack
        The warps; pixels with `EXCLUDED` planes in their masks, such as CLIPPED, are left out.
    weights
        Weight of each warp, shape ``(n,)``.
    sat_fraction
        Share of the weight of the saturated warps of a pixel above which the coadd is SAT there.

    Returns
    -------
    Coadd
        Where no warp is good the interpolated values of the bad ones are averaged, if any,
        with their planes in the mask. REJECTED marks pixels from which a warp was left out for a
        bad pixel, CLIPPED those from which `outlier` took one, SENSOR_EDGE those that some warps do
        not reach; INEXACT_PSF any of the three, as the PSF of all inputs does not hold there.
    """
    finite = np.isfinite(stack.image) & np.isfinite(stack.variance)
    finite &= (weights > 0.0)[:, None, None]
    good = finite & ~has(stack.mask, EXCLUDED)
    fallback = ~good.any(axis=0)
    use = np.where(fallback, finite & ~has(stack.mask, MaskPlane.CLIPPED), good)
    shape = stack.image.shape[1:]
    image = np.full(shape, np.nan, dtype=np.float32)
    variance = np.full(shape, np.nan, dtype=np.float32)
    mask = np.zeros(shape, dtype=np.int32)
    n_image = np.zeros(shape, dtype=np.int32)
    planes = (stack.image, stack.mask, stack.variance)
    weighted_mean(planes, use, np.asarray(weights, np.float64), (image, mask, variance), n_image)
    mask &= ~np.int32(int(_NOT_PROPAGATED))
    mask |= _coadd_planes(stack, weights, finite, use, sat_fraction)
    mask[n_image == 0] |= np.int32(int(MaskPlane.NO_DATA))
    return Coadd(Planes(image, variance, mask, stack.y0, stack.x0), n_image, weights)


def _coadd_planes(
    stack: WarpStack, weights: FloatArray, finite: BoolArray, use: BoolArray, sat_fraction: float
) -> MaskArray:
    """Set the planes that say which warps a pixel of the coadd lacks."""
    reached = np.tensordot(weights, finite, axes=1)
    saturated = np.tensordot(weights, finite & has(stack.mask, MaskPlane.SAT), axes=1)
    some = finite.any(axis=0)
    clipped = (finite & has(stack.mask, MaskPlane.CLIPPED)).any(axis=0)
    rejected = some & (finite & ~use).any(axis=0)
    edge = some & ~finite[weights > 0.0].all(axis=0)
    mask = np.zeros(some.shape, dtype=np.int32)
    for plane, where in (
        (MaskPlane.SAT, saturated > sat_fraction * reached),
        (MaskPlane.CLIPPED, clipped),
        (MaskPlane.REJECTED, rejected),
        (MaskPlane.SENSOR_EDGE, edge),
        (MaskPlane.INEXACT_PSF, rejected | edge),
    ):
        mask[where] |= np.int32(int(plane))
    return mask
