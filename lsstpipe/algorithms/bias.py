"""Bias: what is left of the bias level after the overscan, from the mean of many biases."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.clipped_mean import clipped_mean
from lsstpipe.errors import AlgorithmError

Image = npt.NDArray[np.float32]

_OUTLIER_N_SIGMA = 6.0


@dataclass(frozen=True, slots=True)
class MasterBias:
    """The mean of several biases.

    Attributes
    ----------
    image, variance
        Mean and its variance, electrons, shape ``(ny, nx)``; 0 where no bias has a value.
    n_used
        Biases that each pixel is the mean of.
    """

    image: Image
    variance: Image
    n_used: npt.NDArray[np.int64]


def combine_biases(biases: Image, read_noise: Image, *, n_sigma: float) -> MasterBias:
    """Average biases, safe against cosmic rays.

    Parameters
    ----------
    biases
        Electrons without the overscan, shape ``(n, ny, nx)``; NaN marks pixels not to be used.
    read_noise
        Noise of a pixel, electrons, shape ``(ny, nx)``.
    n_sigma
        Clipping distance in standard deviations.

    Raises
    ------
    AlgorithmError
        If there are fewer than three: outliers could not be told.
    """
    if len(biases) < 3:
        raise AlgorithmError(f"A master bias needs at least 3 biases, got {len(biases)}.")
    result = clipped_mean(biases, read_noise[None], n_sigma=n_sigma)
    image = np.where(result.n_used > 0, result.mean, 0.0).astype(np.float32)
    variance = (read_noise**2 / np.maximum(result.n_used, 1)).astype(np.float32)
    return MasterBias(image, variance, result.n_used)


def measure_read_noise(biases: Image) -> float:
    """Measure the noise of the read-out from the differences of successive biases.

    Parameters
    ----------
    biases
        Electrons of an amplifier without the overscan, shape ``(n, ny, nx)``; NaN marks pixels not
        to be used.

    Returns
    -------
    float
        Electrons, without the noise that rows have in common from their overscan; NaN where there
        is no pair.
    """
    found = []
    for first, second in pairwise(biases):
        difference = (first - second).astype(np.float64)
        known = np.isfinite(difference)
        n = np.maximum(known.sum(axis=1, keepdims=True), 1)
        difference = np.where(known, difference, 0.0)
        difference -= difference.sum(axis=1, keepdims=True) / n
        values = difference[known]
        if len(values) == 0:
            continue
        # Whole ADU make the median deviation jump: it serves to leave out cosmic rays only.
        spread = 1.4826 * float(np.median(np.abs(values))) + 1e-6
        found.append(float(np.std(values[np.abs(values) < _OUTLIER_N_SIGMA * spread])) / np.sqrt(2))
    return float(np.median(found)) if found else float("nan")
