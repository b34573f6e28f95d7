"""Dark current: the master dark and its subtraction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from lsstpipe.algorithms.clipped_mean import clipped_mean
from lsstpipe.errors import AlgorithmError

Image = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MasterDark:
    """The mean of several darks.

    Attributes
    ----------
    image
        Electrons of one exposure, bias level included, shape ``(ny, nx)``.
    variance
        Variance of ``image``, electron**2.
    level
        Median of each dark, electrons, shape ``(n,)``: the bias drifts as the camera settles.
    read_noise
        Noise of a typical pixel of one dark, electrons: read-out and the shot noise of the dark
        current.
    excess
        Scatter of each pixel from dark to dark over that of a typical pixel, shape ``(ny, nx)``.
    """

    image: Image
    variance: Image
    level: npt.NDArray[np.float64]
    read_noise: float
    excess: Image


def combine_darks(
    darks: npt.NDArray[np.float32], *, read_noise: float, n_sigma: float
) -> MasterDark:
    """Average darks of one exposure time, safe against cosmic rays and a drifting bias.

    Parameters
    ----------
    darks
        Electrons, shape ``(n, ny, nx)``; NaN marks pixels not to be used.
    read_noise
        Noise of a typical pixel, electrons, for the clipping.
    n_sigma
        Clipping distance in standard deviations.

    Raises
    ------
    AlgorithmError
        If there are fewer than three: outliers could not be told.
    """
    n = len(darks)
    if n < 3:
        raise AlgorithmError(f"A master dark needs at least 3 darks, got {n}.")
    level = np.array([np.nanmedian(dark) for dark in darks])
    typical = float(np.median(level))
    shifted = darks - (level - typical)[:, None, None].astype(np.float32)
    shifted[:, ~np.isfinite(shifted).any(axis=0)] = np.float32(typical)
    first = np.nanmedian(shifted, axis=0)
    sigma = np.sqrt(read_noise**2 + np.clip(first - typical, 0, None))
    result = clipped_mean(shifted, sigma, n_sigma=n_sigma)
    image = np.where(result.n_used > 0, result.mean, typical)
    kept = np.where(np.abs(shifted - image) <= n_sigma * sigma, shifted, np.nan)
    with np.errstate(invalid="ignore"):
        scatter = np.sqrt(np.nansum((kept - image) ** 2, axis=0) / np.maximum(result.n_used - 1, 1))
    # The median of a chi distribution is not its scale: it is corrected for the degrees of freedom.
    dof = np.maximum(result.n_used - 1, 1)
    noise = float(np.median(scatter / np.sqrt(chi2.median(dof) / dof)))
    n_used = np.maximum(result.n_used, 1)
    # The median deviation: one cosmic ray does not move it, a pixel that blinks does.
    deviation = np.nanmedian(np.abs(shifted - first), axis=0)
    return MasterDark(
        image=image.astype(np.float32),
        variance=((noise**2 + np.clip(image - typical, 0, None)) / n_used).astype(np.float32),
        level=level,
        read_noise=noise,
        excess=(deviation / max(float(np.median(deviation)), 1e-9)).astype(np.float32),
    )
