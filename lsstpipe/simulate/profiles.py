"""Round profiles as sums of Gaussians, which convolve by adding their variances.

After Hogg & Lang (2013, PASP 125, 719): what is drawn is the sum itself, so that its flux is exact
and only its likeness to the profile is approximate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

FloatArray = npt.NDArray[np.float64]

_EXPONENTIAL_RATE, _DEVAUCOULEURS_RATE = 1.6783469900166605, 7.66924944
"""Rates by which half of the light is within radius 1."""

_MOFFAT_BETA = 3.5


@cache
def gaussian_mixture(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Give the Gaussians of a profile.

    Parameters
    ----------
    name
        ``exponential`` or ``devaucouleurs`` of half-light radius 1, or ``moffat`` of alpha 1.

    Returns
    -------
    weights, variances
        Weights have sum 1; variances of one axis.
    """
    profile, reach, widths = {
        "exponential": (_exponential, 5.0, (0.1, 2.0, 7)),
        "devaucouleurs": (_devaucouleurs, 8.0, (0.03, 5.0, 8)),
        "moffat": (_moffat, 12.0, (0.24, 2.6, 7)),
    }[name]
    return _fit(profile, reach, np.geomspace(*widths))


def _fit(
    profile: Callable[[FloatArray], FloatArray], reach: float, widths: FloatArray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Fit Gaussians of given widths to a profile, rings weighted by their area."""
    r = np.linspace(0.005, reach, 1500)
    variances = widths**2
    design = np.exp(-0.5 * r[:, None] ** 2 / variances) / (2 * math.pi * variances)
    weights, _ = nnls(design * r[:, None], profile(r) * r)
    kept = weights > 1e-4 * weights.sum()
    weights = weights[kept] / weights[kept].sum()
    return tuple(map(float, weights)), tuple(map(float, variances[kept]))


def _exponential(r: FloatArray) -> FloatArray:
    return np.exp(-_EXPONENTIAL_RATE * r)


def _devaucouleurs(r: FloatArray) -> FloatArray:
    return np.exp(-_DEVAUCOULEURS_RATE * (r**0.25 - 1))


def _moffat(r: FloatArray) -> FloatArray:
    return (1 + r * r) ** -_MOFFAT_BETA
