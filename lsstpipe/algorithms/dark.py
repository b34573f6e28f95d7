"""Dark current: the mean of many darks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from lsstpipe.algorithms.clipped_mean import clipped_mean, median_of_stack
from lsstpipe.errors import AlgorithmError

Image = npt.NDArray[np.float32]

_BLOCK_ROWS = 64


@dataclass(frozen=True, slots=True)
class MasterDark:
    """The mean of several darks.

    Attributes
    ----------
    image
        Electrons of one exposure, shape ``(ny, nx)``; bias level included where it is not known.
    variance
        Variance of ``image``, electron**2.
    level
        Median of each dark, electrons, shape ``(n,)``: the bias drifts as the camera settles.
    read_noise
        Noise of a typical pixel of one dark, electrons: read-out and the shot noise of the dark
        current.
    excess
        Median deviation of each pixel from its median, in standard deviations of one dark that
        its read noise and current predict, shape ``(ny, nx)``.
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
    first = median_of_stack(shifted)
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
    deviation = median_of_stack(np.abs(shifted - first))
    return MasterDark(
        image=image.astype(np.float32),
        variance=((noise**2 + np.clip(image - typical, 0, None)) / n_used).astype(np.float32),
        level=level,
        read_noise=noise,
        excess=(deviation / sigma).astype(np.float32),
    )


def combine_scaled_darks(
    darks: Image, times_s: npt.NDArray[np.float64], *, read_noise: float, n_sigma: float
) -> MasterDark:
    """Average darks without bias, scaled to their mean time, safe against cosmic rays.

    Each counts by the square of its time, as the noise of the read-out has it.

    Parameters
    ----------
    darks
        Electrons without the bias level, shape ``(n, ny, nx)``; NaN marks pixels not to be used.
    times_s
        Time of each since its reset, seconds, shape ``(n,)``.
    read_noise
        Electrons.
    n_sigma
        Clipping distance in standard deviations.

    Returns
    -------
    MasterDark
        Of the mean time.

    Raises
    ------
    AlgorithmError
        If there are fewer than three, or one has no time.
    """
    n = len(darks)
    if n < 3:
        raise AlgorithmError(f"A master dark needs at least 3 darks, got {n}.")
    if not (times_s > 0).all():
        raise AlgorithmError(f"Darks must be longer than 0 s, got one of {times_s.min():g} s.")
    scale = times_s.mean() / times_s
    weights = 1 / scale**2
    k = scale[:, None, None].astype(np.float32)
    image, variance, pull = (np.empty(darks.shape[1:], np.float32) for _ in range(3))
    for start in range(0, darks.shape[1], _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        block = k * darks[:, rows]
        block[:, ~np.isfinite(block).any(axis=0)] = 0
        first = median_of_stack(block)
        sigma = np.sqrt((k * np.float32(read_noise)) ** 2 + k * np.clip(first, 0, None))
        result = clipped_mean(block, sigma, n_sigma=n_sigma, weights=weights)
        image[rows] = np.where(result.n_used > 0, result.mean, first)
        unclipped = np.tensordot(weights**2, sigma**2, axes=1) / weights.sum() ** 2
        share = weights.sum() / np.where(result.n_used > 0, result.weight, weights.sum())
        variance[rows] = unclipped * share
        # The median deviation: one cosmic ray does not move it, a pixel that blinks does.
        pull[rows] = median_of_stack(np.abs(block - first) / sigma)
    typical = max(float(np.median(pull)), 1e-9)
    # Deviations from the mean of so few are smaller than those from the truth.
    noise = read_noise * typical / 0.6745 * float(np.sqrt(n / (n - 1)))
    level = np.array([np.nanmedian(dark) for dark in darks])
    return MasterDark(image, variance, level, noise, pull)
