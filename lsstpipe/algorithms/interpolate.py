"""Fill pixels without a valid value from their neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._interpolate_kernel import fill_pass, find_rim
from lsstpipe.algorithms._planes_kernel import finite_pixels
from lsstpipe.algorithms.planes import list_pixels
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.mask import MaskArray, MaskPlane

FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_RADIUS = 3
_N_LEAST = 7
# Noise against signal: small keeps the cores of stars; within wide holes, where guesses follow from
# guesses, a large one keeps them from running away.
_NUGGET_RIM = 0.005
_NUGGET_INSIDE = 0.2
_N_RINGS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Interpolated:
    """An image without holes.

    Attributes
    ----------
    image
        A copy with the holes filled, shape ``(ny, nx)``.
    replaced
        True where a value was replaced, shape ``(ny, nx)``; these pixels are to be marked INTRP.
    """

    image: FloatImage
    replaced: BoolArray


def interpolate_pixels(
    image: FloatImage, mask: MaskArray, *, planes: MaskPlane, psf_sigma: float
) -> Interpolated:
    """Replace the values of masked pixels by the best guess from the good pixels around them.

    Two pixels of an image that the PSF has smoothed are correlated like the PSF with itself: for a
    Gaussian PSF ``exp(-d**2 / (4 sigma**2))``. The best linear guess of a missing pixel from the
    good ones within 3 pixels follows from that (Rybicki & Press 1992, ApJ 398, 169), with weights
    of sum 1 so that a constant sky stays constant. Regions too wide for it are filled from their
    rim inwards; what is left after 16 rings takes the median of the image.

    Parameters
    ----------
    image
        Pixel values, shape ``(ny, nx)``.
    mask
        Bits of `MaskPlane`, shape ``(ny, nx)``.
    planes
        Planes whose pixels are replaced; pixels that are not finite always are.
    psf_sigma
        Standard deviation of the PSF in pixels.

    Returns
    -------
    Interpolated
        The filled image and what was filled.

    Raises
    ------
    AlgorithmError
        If there is no good pixel.
    """
    known = finite_pixels(image, mask, int(planes))
    replaced = ~known
    if replaced.all():
        raise AlgorithmError("There is no good pixel to interpolate from.")
    result = image.astype(np.float32)
    distance = np.arange(2 * _RADIUS + 1, dtype=np.float64)
    line = np.exp(-(distance**2) / (4.0 * psf_sigma**2))
    unknown = list_pixels(replaced)
    for ring in range(_N_RINGS):
        pixels = unknown[find_rim(known, unknown)]
        limits = (_RADIUS, _N_LEAST, _NUGGET_INSIDE if ring else _NUGGET_RIM)
        done = fill_pass(result, known, pixels, np.outer(line, line), limits)
        if not done.any():
            break
        known[tuple(pixels[done].T)] = True
        unknown = unknown[~known[tuple(unknown.T)]]
    if len(unknown):
        result[tuple(unknown.T)] = np.median(image[~replaced])
    return Interpolated(result, replaced)
