"""Artefacts that are in few warps only: cosmic rays, trails, ghosts, moving things, hot pixels.

After Rubin's CompareWarpAssembleCoadd (AlSayyad, dmtn-080): warps are compared at equal PSF with
a model of the static sky, what stands out is grouped, and a group is an artefact if it was seen in
few of the epochs. A second comparison, of the warps as they are, finds what is sharper than the
PSF: the matching kernel smooths a hot pixel to a third of its significance.

Stars must not be clipped where images differ for other reasons than artefacts: errors of PSF
models, of registration, and the ringing of the Lanczos kernel, which for a star of 2.3 pixels FWHM
is some per cent of its peak. All of them grow with the light nearby, so a share of the brightest
nearby pixel of the model is added to the noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lsstpipe.algorithms._combine_kernel import robust_mean
from lsstpipe.algorithms._outlier_kernel import significances, sky_pulls
from lsstpipe.algorithms.combine import EXCLUDED, WarpStack
from lsstpipe.algorithms.grow import grow
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.mask import has

FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int32]

_NORMAL_IQR = 1.3489795
_SOURCE_SIGMA = 3.0
_STRIDE = 7
_EIGHT = np.ones((3, 3), dtype=np.bool_)
_ONE_AROUND, _TWO_AROUND = 1.5, 2.9
"""Radii of discs that fill the squares of 3 and of 5 pixels."""


@dataclass(frozen=True, slots=True)
class ComparisonLevels:
    """What stands out in one of the two comparisons.

    Attributes
    ----------
    n_sigma
        Significance that one pixel of a group must reach, either sign.
    n_sigma_low
        Significance that all its pixels must reach.
    n_sigma_seen
        Significance from which a pixel of a group counts as seen in the epoch.
    min_pixels
        Smallest group.
    contrast
        Share of the brightest model pixel within ``reach`` that is added to the noise, squared.
    reach
        Half width of that neighbourhood, pixels.
    """

    n_sigma: float
    n_sigma_low: float
    n_sigma_seen: float
    min_pixels: int
    contrast: float
    reach: int


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """Pixels of one warp that stand out: few, so that no image of them is kept.

    Attributes
    ----------
    at
        Where they are in the image, one row after another, shape ``(n,)``.
    label
        Number of the group of each.
    seen
        Whether it counts as seen in the epoch.
    """

    at: npt.NDArray[np.intp]
    label: IntArray
    seen: BoolArray


@dataclass(frozen=True, slots=True)
class ArtifactLevels:
    """Settings of `find_artifacts`.

    Attributes
    ----------
    matched
        For warps of equal PSF.
    sharp
        For warps as they are.
    rare_fraction
        Share of the pixels of an artefact that must have been seen in few epochs.
    protect_sigma
        Significance of the model from which stars are bright: what lies mostly on their cores is
        not clipped.
    n_sigma_model
        Clipping limit of the static sky.
    """

    matched: ComparisonLevels = ComparisonLevels(7.5, 5.0, 5.0, 4, 0.03, 1)
    sharp: ComparisonLevels = ComparisonLevels(5.0, 2.5, 5.0, 1, 0.3, 2)
    rare_fraction: float = 0.5
    protect_sigma: float = 300.0
    n_sigma_model: float = 2.5


def static_sky(stack: WarpStack, n_sigma: float) -> FloatImage:
    """Average warps robustly.

    Parameters
    ----------
    stack
        Warps; bad pixels are left out.
    n_sigma
        Clipping limit.

    Returns
    -------
    model
        Shape ``(ny, nx)``; NaN where there is no good warp.
    """
    model = np.empty(stack.image.shape[1:], dtype=np.float32)
    planes = (stack.image, stack.mask, stack.variance)
    robust_mean(planes, np.int32(int(EXCLUDED)), n_sigma, model)
    return model


def max_epochs(n_epochs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return in how many epochs at most an artefact may be seen.

    Parameters
    ----------
    n_epochs
        Number of epochs of each pixel.

    Returns
    -------
    n_max
        0 for 2 epochs or less, where it cannot be told which is right; then ``min(0.4 n, 2 +
        0.03 n)`` (dmtn-080).
    """
    limit = np.minimum(0.4 * n_epochs, 2.0 + 0.03 * n_epochs)
    return np.where(n_epochs <= 2, 0, np.floor(limit)).astype(np.int64)


def find_artifacts(
    direct: WarpStack, matched: WarpStack, levels: ArtifactLevels = ArtifactLevels()
) -> BoolArray:
    """Find the pixels of each warp that show something the others do not.

    Parameters
    ----------
    direct
        Warps as they are.
    matched
        The same warps, convolved to one PSF.
    levels
        Settings.

    Returns
    -------
    clipped
        True for artefacts, shape ``(n, ny, nx)``. Their pixels are to be CLIPPED.
    """
    n_epochs = np.zeros(direct.image[0].size, dtype=np.int32)
    for image in direct.image:
        n_epochs += np.isfinite(image).ravel()
    clipped = np.zeros(direct.image.shape, dtype=np.bool_)
    for stack, comparison in ((matched, levels.matched), (direct, levels.sharp)):
        model = static_sky(stack, levels.n_sigma_model)
        model = np.where(np.isfinite(model), model, np.float32(0.0))
        nearby = ndimage.maximum_filter(model, size=2 * comparison.reach + 1)
        model_noise = float(np.sqrt(np.median(_some_variance(stack)) / len(direct.image)))
        groups = [
            _stand_out(Planes(image, variance, mask), model, nearby, comparison)
            for image, variance, mask in zip(stack.image, stack.variance, stack.mask, strict=True)
        ]
        protected = grow(model > levels.protect_sigma * model_noise, _TWO_AROUND).ravel()
        n_seen = np.zeros(n_epochs.shape, dtype=np.int32)
        for group in groups:
            n_seen[group.at[group.seen]] += 1
        for epoch, group in enumerate(groups):
            rare = n_seen[group.at] <= max_epochs(n_epochs[group.at])
            kept = np.zeros(model.shape, dtype=np.bool_)
            kept.ravel()[_mostly(group, rare & ~protected[group.at], levels.rare_fraction)] = True
            clipped[epoch] |= grow(kept, _ONE_AROUND)
    for own, image in zip(clipped, direct.image, strict=True):
        own &= np.isfinite(image)
    return clipped


def _some_variance(stack: WarpStack) -> FloatImage:
    """Take every seventh variance that is known, one warp after the other."""
    parts, first = [], 0
    for variance in stack.variance:
        known = variance[np.isfinite(variance)]
        parts.append(known[first::_STRIDE])
        first = (first - len(known)) % _STRIDE
    return np.concatenate(parts)


def _stand_out(
    warp: Planes, model: FloatImage, nearby: FloatImage, levels: ComparisonLevels
) -> _Groups:
    """Find the groups of pixels of one warp that differ from the model."""
    unusable = ~(np.isfinite(warp.image) & np.isfinite(warp.variance)) | has(warp.mask, EXCLUDED)
    planes = (warp.image.ravel(), warp.variance.ravel(), unusable.ravel())
    sky, middle, width = model.ravel(), np.float32(0.0), np.float32(1.0)
    # The plane knows neither covariance nor the noise of the model: the sky gives the scale.
    some = sky_pulls(planes, sky, _SOURCE_SIGMA)[::_STRIDE]
    if len(some) > 0:
        low, high = (np.float32(value) for value in np.percentile(some, (25.0, 75.0)))
        middle = (low + high) / np.float32(2.0)
        width = max((high - low) / np.float32(_NORMAL_IQR), np.float32(1e-6))
    contrast = np.float32(levels.contrast)
    significance = significances(planes, (sky, nearby.ravel()), (middle, width), contrast)
    labels, n_groups = ndimage.label(
        (significance > levels.n_sigma_low).reshape(model.shape), _EIGHT
    )
    at = np.flatnonzero(labels)
    label, significance = labels.ravel()[at], significance[at]
    size, peak = np.bincount(label, minlength=n_groups + 1), np.zeros(n_groups + 1, np.float32)
    np.maximum.at(peak, label, significance)
    keep = ((size >= levels.min_pixels) & (peak > levels.n_sigma))[label]
    return _Groups(at[keep], label[keep], significance[keep] > levels.n_sigma_seen)


def _mostly(groups: _Groups, rare: BoolArray, rare_fraction: float) -> npt.NDArray[np.intp]:
    """Keep the groups most of whose pixels few epochs have seen, and return their pixels."""
    size = np.bincount(groups.label)
    keep = np.bincount(groups.label[rare], minlength=len(size)) > rare_fraction * size
    return groups.at[keep[groups.label]]
