"""Second moments of sources with an adaptive elliptical weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._moments_kernel import moments_at
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.mask import MaskPlane
from lsstpipe.image.psf import Psf, nearest_pixel, stamps_moments

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_PSF_TOLERANCE = 1e-6
_UNUSABLE = MaskPlane.BAD | MaskPlane.NO_DATA | MaskPlane.UNMASKEDNAN


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Adaptive second moments, one value a source.

    Attributes
    ----------
    iyy, ixx, ixy
        Moments in pixels squared; NaN where flagged.
    y, x
        Centre of the weight, absolute; NaN where flagged.
    flux
        Flux of the Gaussian with these moments.
    flag
        True where they did not converge.
    """

    iyy: FloatArray
    ixx: FloatArray
    ixy: FloatArray
    y: FloatArray
    x: FloatArray
    flux: FloatArray
    flag: BoolArray

    @property
    def sigma(self) -> FloatArray:
        """Width: square root of half the sum of the moments, in pixels."""
        width: FloatArray = np.sqrt(0.5 * (self.iyy + self.ixx))
        return width


def measure_moments(
    planes: Planes, *, y: FloatArray, x: FloatArray, psf_sigma: float, half_size: int = 12
) -> Moments:
    """Measure the adaptive second moments of sources.

    The weight is the elliptical Gaussian whose moments are those of the weighted source (Bernstein
    & Jarvis 2002, AJ 123, 583; Hirata & Seljak 2003, MNRAS 343, 459); no correction for the PSF.

    Parameters
    ----------
    planes
        Image without background, variance and mask.
    y, x
        Absolute positions to start from, shape ``(n,)``.
    psf_sigma
        Standard deviation of the PSF in pixels, the first guess.
    half_size
        The stamp reaches this many pixels to either side.

    Returns
    -------
    Moments
        One value a source.
    """
    found = moments_at(
        planes.image,
        planes.usable(_UNUSABLE),
        np.stack([np.asarray(y) - planes.y0, np.asarray(x) - planes.x0], axis=1).astype(np.float64),
        psf_sigma,
        half_size,
    )
    flag = found[:, 6] == 0.0
    found[flag, :6] = np.nan
    return Moments(
        iyy=found[:, 2],
        ixx=found[:, 3],
        ixy=found[:, 4],
        y=found[:, 0] + planes.y0,
        x=found[:, 1] + planes.x0,
        flux=found[:, 5],
        flag=flag,
    )


def psf_moments(psf: Psf, *, y: FloatArray, x: FloatArray) -> Moments:
    """Measure the adaptive second moments of the PSF at the positions of sources.

    Parameters
    ----------
    psf
        The PSF.
    y, x
        Absolute positions, shape ``(n,)``. The PSF is drawn in the middle of the pixel.

    Returns
    -------
    Moments
        One value a position.
    """
    pixel_y, pixel_x = (
        nearest_pixel(np.asarray(c, dtype=np.float64)).astype(np.float64) for c in (y, x)
    )
    values = stamps_moments(psf.stamps(y=pixel_y, x=pixel_x), _PSF_TOLERANCE)
    flag = np.asarray(np.isnan(values).any(axis=1), dtype=np.bool_)
    flux = np.where(flag, np.nan, 1.0)
    return Moments(values[:, 0], values[:, 1], values[:, 2], pixel_y, pixel_x, flux, flag)
