"""What one warp alone does to a coadd: the artefacts that are left there, found without a truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lsstpipe.algorithms.combine import Coadd, WarpStack

BoolArray = npt.NDArray[np.bool_]

FEWEST_WARPS = 5
"""Fewest warps of a pixel from which one of them is judged by the others."""

_REACH = 2
_EIGHT = np.ones((3, 3), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Displaced:
    """Where one warp alone displaces a coadd.

    Attributes
    ----------
    n_footprints, n_pixels
        Groups of touching pixels, and pixels, that one warp displaces by more than the limit.
    largest
        Largest displacement of a judged pixel, in standard deviations of the coadd; NaN for none.
    n_judged
        Pixels of the coadd that could be judged against every one of their warps.
    n_covered
        Pixels of at least `FEWEST_WARPS` warps.
    """

    n_footprints: int
    n_pixels: int
    largest: float
    n_judged: int
    n_covered: int


def find_displaced(stack: WarpStack, coadd: Coadd, n_sigma: float = 5.0) -> Displaced:
    """Compare a coadd with the coadds of all warps but one.

    A pixel next to a star is not judged where the light that the other warps show within 2 pixels,
    times the weight of the one, exceeds the limit itself: there an error of PSF or position could
    explain the displacement. Everywhere else only an artefact can.

    Parameters
    ----------
    stack
        The warps, with their CLIPPED pixels in the mask.
    coadd
        Their mean.
    n_sigma
        Limit of the displacement, standard deviations of the coadd.

    Returns
    -------
    Displaced
        Counts.
    """
    use = stack.good()
    use &= (coadd.weights > 0.0)[:, None, None]
    weights = coadd.weights.astype(np.float32)
    total = np.tensordot(weights, use, axes=1)
    covered = use.sum(axis=0) >= FEWEST_WARPS
    image = np.where(covered, coadd.planes.image, np.float32(0.0))
    limit = np.where(covered, n_sigma * np.sqrt(coadd.planes.variance), np.float32(np.inf))
    judged, displaced, largest = covered.copy(), np.zeros(covered.shape, np.bool_), np.nan
    for i, weight in enumerate(weights):
        own = use[i] & covered
        if not np.any(own):
            continue
        # The mean of all minus that of the others; the others' own value follows from it.
        lever = np.where(own, weight / np.where(own, total - weight, np.float32(1.0)), 0.0)
        shift = lever * np.where(own, stack.image[i] - image, np.float32(0.0))
        nearby = ndimage.maximum_filter(image - shift, size=2 * _REACH + 1)
        own &= lever * nearby <= limit
        judged &= own | ~use[i]
        size = np.abs(shift[own])
        displaced[own] |= size > limit[own]
        largest = np.fmax(largest, np.max(size / limit[own], initial=0.0))
    return Displaced(
        n_footprints=int(ndimage.label(displaced, _EIGHT)[1]),
        n_pixels=int(displaced.sum()),
        largest=float(n_sigma * largest),
        n_judged=int(judged.sum()),
        n_covered=int(covered.sum()),
    )
