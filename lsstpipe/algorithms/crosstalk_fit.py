"""Coefficients of the crosstalk from bright pixels and those read at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.flat import coarse_median
from lsstpipe.algorithms.grow import grow

FloatImage = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]

_MESH_PIX = 64
_CLIP_N_SIGMA = 3.0
_N_ITERATIONS = 10
_VICTIM_N_SIGMA = 5.0
_LIT_N_SIGMA, _WINGS_PIX = 3.0, 6.0
_MOST = 200_000
"""Pixels that are kept of one exposure."""


@dataclass(frozen=True, slots=True)
class BrightPixels:
    """Pixels of one exposure in which an amplifier is bright, and those read at the same time.

    Attributes
    ----------
    signals
        Electrons above the background of each amplifier, NaN where they are not good, shape
        ``(n_pixels, n)``.
    row
        Row of each pixel, shape ``(n_pixels,)``.
    noise
        Standard deviation of the pixels of each amplifier that are not bright, electrons, shape
        ``(n,)``.
    """

    signals: FloatImage
    row: npt.NDArray[np.int64]
    noise: FloatArray


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


def find_bright(cube: FloatImage, good: npt.NDArray[np.bool_], *, threshold: float) -> BrightPixels:
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
    """
    filled = np.where(good, cube, np.float32(np.nan))
    above = _above_background(filled, filled)
    with np.errstate(invalid="ignore"):
        ghostly = (above > threshold).any(axis=0)
        seen = [own > _LIT_N_SIGMA * _spread(own[np.isfinite(own)]) for own in above]
    lit = [grow(own, _WINGS_PIX) for own in seen]
    # Neither light nor ghosts may raise the background that ghosts are measured from.
    dark = np.where(ghostly | np.array(lit), np.float32(np.nan), filled)
    above = _above_background(filled, dark)
    with np.errstate(invalid="ignore"):
        bright = (above > threshold).any(axis=0)
    noise = np.array([_spread(own[np.isfinite(own)]) for own in above[:, ~bright]])
    row, column = np.nonzero(bright)
    step = max(1, len(row) // _MOST)
    row, column = row[::step], column[::step]
    return BrightPixels(np.ascontiguousarray(above[:, row, column].T), row, noise)


def _above_background(cube: FloatImage, dark: FloatImage) -> FloatImage:
    """Subtract from each amplifier the background of its dark pixels."""
    parts = zip(cube, dark, strict=True)
    return np.stack([own - coarse_median(unlit, mesh_pix=_MESH_PIX) for own, unlit in parts])


def fit_crosstalk(
    exposures: Sequence[BrightPixels], *, threshold: float, min_pixels: int
) -> CrosstalkFit:
    """Fit the ghosts of all sources in each victim at once, without its own sources.

    Parameters
    ----------
    exposures
        What `find_bright` found on each; each counts by the noise of the victim.
    threshold
        Electrons from which a pixel is bright.
    min_pixels
        Bright pixels of a source that it takes.
    """
    signals = np.concatenate([exposure.signals for exposure in exposures])
    row = np.concatenate([exposure.row for exposure in exposures])
    noise = np.concatenate([np.tile(e.noise, (len(e.row), 1)) for e in exposures])
    n = signals.shape[1]
    with np.errstate(invalid="ignore"):
        is_bright = signals > threshold
    n_pixels = is_bright.sum(axis=0)
    coefficients, errors = np.zeros((n, n)), np.zeros((n, n))
    for victim in range(n):
        others = np.arange(n) != victim
        sources = np.flatnonzero(others & (n_pixels >= min_pixels))
        usable = np.isfinite(signals).all(axis=1) & is_bright[:, others].any(axis=1)
        if not len(sources) or usable.sum() <= len(sources):
            continue
        scale = noise[usable, victim, None]
        design = np.column_stack([signals[usable][:, sources], np.ones(int(usable.sum()))]) / scale
        pull = signals[usable, victim] / scale[:, 0]
        solution, error = _fit_robustly(design, pull, row[usable])
        coefficients[victim, sources], errors[victim, sources] = solution[:-1], error[:-1]
    return CrosstalkFit(coefficients, errors, n_pixels)


def _fit_robustly(
    design: FloatArray, pull: FloatArray, row: npt.NDArray[np.int64]
) -> tuple[FloatArray, FloatArray]:
    """Fit values of unit noise, leaving out in turn what lies far from the fit."""
    used = np.abs(pull - np.median(pull)) < _VICTIM_N_SIGMA * _spread(pull)
    solution = np.zeros(design.shape[1])
    for _ in range(_N_ITERATIONS):
        solution = np.asarray(np.linalg.lstsq(design[used], pull[used], rcond=None)[0], np.float64)
        residual: FloatArray = pull - design @ solution
        kept: npt.NDArray[np.bool_] = np.abs(residual) < _CLIP_N_SIGMA * _spread(residual[used])
        if (used == kept).all():
            break
        used = kept
    return solution, _measure_errors(design[used], residual[used], row[used])


def _measure_errors(
    design: FloatArray, residual: FloatArray, row: npt.NDArray[np.int64]
) -> FloatArray:
    """Measure standard errors; the pixels of a row share what is wrong with its bias level."""
    inverse = np.linalg.pinv(design.T @ design)
    scores = np.zeros((int(row.max(initial=0)) + 1, design.shape[1]))
    np.add.at(scores, row, design * residual[:, None])
    of_rows = np.diag(inverse @ (scores.T @ scores) @ inverse)
    of_pixels = float(np.var(residual)) * np.diag(inverse)
    error: FloatArray = np.sqrt(np.maximum(of_rows, of_pixels))
    return error


def _spread(values: npt.NDArray[np.floating]) -> float:
    """Measure the standard deviation by the median absolute deviation; never 0."""
    if not len(values):
        return 1.0
    return max(1.4826 * float(np.median(np.abs(values - np.median(values)))), 1e-6)
