"""Positions of sources: the centroid within a Gaussian window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._centroid_kernel import windowed
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.mask import MaskPlane

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_UNUSABLE = MaskPlane.BAD | MaskPlane.NO_DATA | MaskPlane.UNMASKEDNAN


@dataclass(frozen=True, slots=True, eq=False)
class Centroids:
    """Positions, one value a source.

    Attributes
    ----------
    y, x
        Absolute position; where flagged, that from which the search started.
    y_error, x_error
        Standard errors in pixels; NaN where flagged.
    flag
        True where the search did not converge within 3 pixels of its start.
    """

    y: FloatArray
    x: FloatArray
    y_error: FloatArray
    x_error: FloatArray
    flag: BoolArray


def measure_centroids(
    planes: Planes, *, y: FloatArray, x: FloatArray, psf_sigma: float
) -> Centroids:
    """Measure the centroids of sources within a Gaussian window as wide as the PSF.

    Each step moves the window by twice the weighted offset, which for a Gaussian source is the
    whole way (Bertin's XWIN_IMAGE; the error is that of the weighted sums).

    Parameters
    ----------
    planes
        Image without background, variance and mask.
    y, x
        Absolute positions to start from, shape ``(n,)``.
    psf_sigma
        Standard deviation of the PSF and of the window, in pixels.

    Returns
    -------
    Centroids
        One value a source.
    """
    start = np.stack([np.asarray(y) - planes.y0, np.asarray(x) - planes.x0], axis=1)
    found = windowed(
        planes.image,
        planes.variance,
        planes.usable(_UNUSABLE),
        start.astype(np.float64),
        psf_sigma,
    )
    flag = found[:, 4] == 0.0
    position = np.where(flag[:, None], start, found[:, :2])
    error = np.where(flag[:, None], np.nan, np.sqrt(found[:, 2:4]))
    return Centroids(
        y=position[:, 0] + planes.y0,
        x=position[:, 1] + planes.x0,
        y_error=error[:, 0],
        x_error=error[:, 1],
        flag=flag,
    )
