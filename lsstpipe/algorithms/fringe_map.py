"""Fringe frame: the pattern of the night sky from many exposures with their sources masked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lsstpipe.algorithms.clipped_mean import clipped_mean
from lsstpipe.algorithms.flat import coarse_median, find_sources
from lsstpipe.algorithms.starlet import measure_white_noise, shrink_noise
from lsstpipe.errors import AlgorithmError

FloatImage = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]

_MESH_PIX = 128
_N_LEAST = 5
_SMOOTHING_PIX = 1.5
_LEAST_LIKENESS = 0.3
"""Correlation of two halves that noise alone, or that of the flat, does not reach."""


@dataclass(frozen=True, slots=True)
class FringeMap:
    """A fringe frame.

    Attributes
    ----------
    image, variance
        Pattern of mean 0 and standard deviation 1, and its variance, shape ``(ny, nx)``; 0 where it
        is not known.
    n_used
        Exposures that each pixel was seen on without a source.
    strength
        Standard deviation of the fringes relative to the sky.
    """

    image: FloatImage
    variance: FloatImage
    n_used: npt.NDArray[np.int64]
    strength: float


def map_fringes(
    skies: FloatImage, bad: npt.NDArray[np.bool_], *, read_noise: float, n_sigma: float
) -> FringeMap:
    """Average dithered exposures, over their sky levels and without their coarse structure.

    Parameters
    ----------
    skies
        Electrons after the flat, shape ``(n, ny, nx)``; changed in place.
    bad
        Pixels not to be used, of the same shape.
    read_noise
        Electrons.
    n_sigma
        Clipping distance in standard deviations.

    Raises
    ------
    AlgorithmError
        If there are fewer than five exposures, or no fringes stand out of the noise.
    """
    n = len(skies)
    if n < _N_LEAST:
        raise AlgorithmError(f"A fringe frame needs at least {_N_LEAST} exposures, got {n}.")
    level = np.array([np.median(sky[~b]) for sky, b in zip(skies, bad, strict=True)])
    if not (level > 0).all():
        raise AlgorithmError(f"Fringes need a sky above 0 electrons, got one of {level.min():.0f}.")
    for i in range(n):
        skies[i] /= np.float32(level[i])
        skies[i][bad[i] | find_sources(skies[i], bad[i])] = np.nan
        skies[i] -= coarse_median(skies[i], mesh_pix=_MESH_PIX)
    sigma = (np.sqrt(level + read_noise**2) / level).astype(np.float32)
    weights = 1 / sigma.astype(np.float64) ** 2
    result = clipped_mean(skies, sigma[:, None, None], n_sigma=n_sigma, weights=weights)
    known = result.n_used > 0
    pattern = np.where(known, result.mean, 0.0).astype(np.float32)
    variance = (1 / np.where(known, result.weight, weights.sum())).astype(np.float32)
    # Fringes are wider than a pixel: what the finest details show is noise, also of faint sources.
    # The frames are those that the map will be subtracted from, whose noise it must not hold.
    excess = measure_white_noise(pattern, known) / float(np.median(variance[known]))
    variance *= np.float32(max(excess, 1.0))
    pattern, variance = shrink_noise(pattern, variance, known)
    pattern -= np.float32(pattern[known].mean(dtype=np.float64))
    strength = float(np.std(pattern[known], dtype=np.float64))
    likeness = _compare_halves(skies)
    if likeness < _LEAST_LIKENESS:
        raise AlgorithmError(
            f"Fringes do not stand out of the noise: the patterns of two halves of the exposures "
            f"have a correlation of {likeness:.2f}; at least {_LEAST_LIKENESS:g} is needed."
        )
    unit = np.float32(1 / strength)
    return FringeMap(
        np.where(known, pattern * unit, np.float32(0)), variance * unit**2, result.n_used, strength
    )


def _compare_halves(skies: FloatImage) -> float:
    """Correlate the patterns of every second exposure and of the others."""
    means = []
    for half in (skies[::2], skies[1::2]):
        n = np.isfinite(half).sum(axis=0)
        total = np.where(np.isfinite(half), half, np.float32(0)).sum(axis=0)
        means.append(ndimage.gaussian_filter(total / np.maximum(n, 1), _SMOOTHING_PIX))
    one, other = (mean - mean.mean() for mean in means)
    norm = float(np.sqrt(np.sum(one**2) * np.sum(other**2)))
    return float(np.sum(one * other)) / norm if norm > 0 else 0.0
