"""Cosmic rays: pixels that rise above their neighbours faster than the PSF can."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._cosmic_ray_kernel import drop_faint, first_pass, growth_pass
from lsstpipe.algorithms.planes import Planes, list_pixels
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.mask import INVALID

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


@dataclass(frozen=True, slots=True)
class CosmicRaySettings:
    """How to find cosmic rays.

    Attributes
    ----------
    n_sigma
        Least excess of a pixel over a pair of opposite neighbours, in standard deviations.
    psf_share
        A star must have at a pair of neighbours at least this share of what its PSF, centred on the
        pixel, has there; below 1 it allows for PSFs that are sharper than the model.
    slack
        Values are moved by this many standard deviations in favour of a star.
    min_sum
        Least sum over a cosmic ray, in the unit of the image.
    n_growth
        Passes that look for its fainter pixels at half the threshold.
    max_share
        More pixels than this share of the image are not cosmic rays but a wrong PSF.
    """

    n_sigma: float = 6.0
    psf_share: float = 0.6
    slack: float = 2.0
    min_sum: float = 150.0
    n_growth: int = 3
    max_share: float = 0.02


def find_cosmic_rays(
    planes: Planes, psf_stamp: FloatArray, settings: CosmicRaySettings | None = None
) -> BoolArray:
    """Find the pixels that cosmic rays have hit.

    The test of SDSS's Photo, as in the LSST pipelines: a pixel is hit when it exceeds the mean of a
    pair of opposite neighbours significantly and, for some pair, by more than the PSF allows. Found
    pixels are replaced by the smallest mean of a pair while the search goes on, so that the pixels
    beside them can be found too; growth passes use half the threshold and no slack. The row of
    pixels along the edge of the image cannot be tested.

    Parameters
    ----------
    planes
        Image without background, variance and mask; invalid pixels are neither tested nor compared
        with.
    psf_stamp
        PSF centred on the middle pixel, shape ``(s, s)`` with s odd.
    settings
        How to find them.

    Returns
    -------
    numpy.ndarray
        True where a cosmic ray was found, shape ``(ny, nx)``.

    Raises
    ------
    AlgorithmError
        If more than ``max_share`` of the pixels are found.
    """
    chosen = settings or CosmicRaySettings()
    usable = planes.usable(INVALID)
    work = planes.image.astype(np.float32)
    ratios = neighbour_ratios(psf_stamp) * chosen.psf_share
    found = np.zeros(work.shape, dtype=np.bool_)
    test = (work, planes.variance, usable, ratios)
    first_pass(*test, np.array([chosen.n_sigma, chosen.slack]), found)
    drop_faint(found, list_pixels(found), planes.image, chosen.min_sum)
    limits = np.array([0.5 * chosen.n_sigma, 0.0])
    for _ in range(chosen.n_growth):
        if growth_pass(*test, limits, (found, list_pixels(found))) == 0:
            break
    n_found = int(np.count_nonzero(found))
    if n_found > chosen.max_share * found.size:
        raise AlgorithmError(
            f"{n_found} of {found.size} pixels look like cosmic rays, more than the "
            f"{chosen.max_share:.0%} that is believed: the PSF is too wide for this image."
        )
    return found


def neighbour_ratios(psf_stamp: FloatArray) -> FloatArray:
    """Compare a PSF at its four pairs of neighbours with its centre.

    Parameters
    ----------
    psf_stamp
        PSF centred on the middle pixel, shape ``(s, s)`` with s odd.

    Returns
    -------
    numpy.ndarray
        Mean of the pair as a share of the centre: row, column and the two diagonals.
    """
    c = psf_stamp.shape[0] // 2
    pairs = [psf_stamp[c + dy, c + dx] + psf_stamp[c - dy, c - dx] for dy, dx in _NEIGHBOURS]
    ratios: FloatArray = 0.5 * np.array(pairs) / psf_stamp[c, c]
    return ratios
