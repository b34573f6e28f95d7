"""Coefficients of the crosstalk from bright pixels and those read at the same time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.flat import coarse_median

FloatImage = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]

_MESH_PIX = 64
_CLIP_N_SIGMA = 3.0
_N_ITERATIONS = 10
_VICTIM_N_SIGMA = 5.0
_MOST = 200_000
"""Pixels that are kept of one exposure."""


@dataclass(frozen=True, slots=True)
class CrosstalkFit:
    """Coefficients of all pairs of amplifiers.

    Attributes
    ----------
    coefficients, errors
        Electrons in the victim (row) per electron in the source (column), shape ``(n, n)``; 0 where
        there were too few bright pixels.
    n_pixels
        Bright pixels of each source, shape ``(n,)``.
    """

    coefficients: FloatArray
    errors: FloatArray
    n_pixels: npt.NDArray[np.int64]


def find_bright(cube: FloatImage, good: npt.NDArray[np.bool_], *, threshold: float) -> FloatImage:
    """Collect the signals of all amplifiers wherever one of them is bright.

    Parameters
    ----------
    cube
        Electrons of each amplifier in the order in which its pixels are read, shape
        ``(n, ny, nx)``.
    good
        Pixels to use; saturated ones have lost the signal that made the ghost.
    threshold
        Electrons above the background from which a pixel is bright.

    Returns
    -------
    numpy.ndarray
        Electrons above the background of each amplifier, NaN where they are not good, shape
        ``(n_pixels, n)``.
    """
    above = np.empty_like(cube)
    for own, image, fine in zip(above, cube, good, strict=True):
        filled = np.where(fine, image, np.float32(np.nan))
        own[:] = filled - coarse_median(filled, mesh_pix=_MESH_PIX)
    with np.errstate(invalid="ignore"):
        bright = (above > threshold).any(axis=0)
    found = above[:, bright].T
    step = max(1, len(found) // _MOST)
    return np.ascontiguousarray(found[::step])


def fit_crosstalk(signals: FloatImage, *, threshold: float, min_pixels: int) -> CrosstalkFit:
    """Fit the ghosts of all sources in each victim at once, without its own sources.

    Parameters
    ----------
    signals
        What `find_bright` found on all exposures, shape ``(n_pixels, n)``.
    threshold
        Electrons from which a pixel is bright.
    min_pixels
        Bright pixels of a source that it takes.
    """
    n = signals.shape[1]
    with np.errstate(invalid="ignore"):
        n_pixels = (signals > threshold).sum(axis=0)
    coefficients, errors = np.zeros((n, n)), np.zeros((n, n))
    for victim in range(n):
        sources = [s for s in range(n) if s != victim and n_pixels[s] >= min_pixels]
        if not sources:
            continue
        others = signals[:, [s for s in range(n) if s != victim]]
        usable = np.isfinite(signals[:, victim]) & np.isfinite(others).all(axis=1)
        usable &= (others > threshold).any(axis=1)
        solution, error = _fit_robustly(
            signals[usable][:, sources].astype(np.float64),
            signals[usable, victim].astype(np.float64),
        )
        coefficients[victim, sources], errors[victim, sources] = solution, error
    return CrosstalkFit(coefficients, errors, n_pixels)


def _fit_robustly(sources: FloatArray, victim: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fit a victim by its sources, leaving out in turn what lies far from the fit."""
    design = np.column_stack([sources, np.ones(len(victim))])
    used = np.abs(victim - np.median(victim)) < _VICTIM_N_SIGMA * _spread(victim)
    solution = np.zeros(design.shape[1])
    for _ in range(_N_ITERATIONS):
        solution = np.linalg.lstsq(design[used], victim[used], rcond=None)[0]
        residual = victim - design @ solution
        before, used = used, np.abs(residual) < _CLIP_N_SIGMA * _spread(residual[used])
        if (used == before).all():
            break
    sigma = float(np.std(residual[used]))
    covariance = np.linalg.pinv(design[used].T @ design[used])
    error = sigma * np.sqrt(np.diag(covariance))
    return solution[:-1], error[:-1]


def _spread(values: FloatArray) -> float:
    """Measure the standard deviation by the median absolute deviation; never 0."""
    return max(1.4826 * float(np.median(np.abs(values - np.median(values)))), 1e-6)
