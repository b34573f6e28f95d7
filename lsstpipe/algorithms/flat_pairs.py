"""Pairs of flats: noise and covariances of their difference, in which the response drops out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._flat_pairs_kernel import sum_products

FloatImage = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]

_CELL_PIX = 16
_PIXEL_N_SIGMA = 5.0
_CELL_N_SIGMA = 4.0


@dataclass(frozen=True, slots=True)
class PairNoise:
    """Noise of a pair of flats in one amplifier.

    Attributes
    ----------
    level
        Mean signal of the first flat above the bias level, ADU.
    variance
        Variance of a flat of that level, ADU**2, as far as photons make it; the read-out adds
        ``readout_factor`` times its own variance.
    variance_err
        Standard error of ``variance``.
    readout_factor
        1 where both flats have one level.
    """

    level: float
    variance: float
    variance_err: float
    readout_factor: float


def pair_up(
    keys: Sequence[tuple[str, float]], levels: Sequence[float], *, max_ratio: float
) -> list[tuple[int, int]]:
    """Pair flats of one filter and, nearly, one level; those of one exposure time first.

    Parameters
    ----------
    keys
        Filter and exposure time of each flat.
    levels
        Level of each flat; NaN where it is not to be used.
    max_ratio
        Largest ratio of the levels of a pair.

    Returns
    -------
    list
        Numbers of the flats of each pair, by filter, then level; each flat is in one pair at most.
    """
    usable = [i for i in range(len(keys)) if levels[i] > 0]
    pairs: list[tuple[int, int]] = []
    left: set[int] = set(usable)
    by_time = sorted(usable, key=lambda i: (*keys[i], i))
    by_level = sorted(usable, key=lambda i: (keys[i][0], levels[i], i))
    for order, is_timed in ((by_time, True), (by_level, False)):
        waiting = [i for i in order if i in left]
        while len(waiting) > 1:
            one, other = waiting[0], waiting[1]
            same = keys[one] == keys[other] if is_timed else keys[one][0] == keys[other][0]
            ratio = max(levels[one], levels[other]) / min(levels[one], levels[other])
            if same and ratio <= max_ratio:
                pairs.append((one, other))
                left -= {one, other}
                waiting = waiting[2:]
            else:
                waiting = waiting[1:]
    return sorted(pairs, key=lambda p: (keys[p[0]][0], levels[p[0]], p))


def measure_noise(first: FloatImage, second: FloatImage) -> PairNoise:
    """Measure the noise of a pair of flats, whatever the lamp did and how it shone.

    The second flat is scaled to the first, the mean of cells of 16 pixels is taken off their
    difference, and pixels and cells that deviate, such as those with cosmic rays, are left out. For
    photons the difference has the variance ``mean (1 + r) / gain``, with r the ratio of the levels.

    Parameters
    ----------
    first, second
        ADU above the bias level, shape ``(ny, nx)``; NaN marks pixels not to be used.
    """
    good = np.isfinite(first) & np.isfinite(second)
    level = float(first[good].mean(dtype=np.float64))
    ratio = level / float(second[good].mean(dtype=np.float64))
    cells = _to_cells(np.where(good, first - np.float32(ratio) * second, np.nan))
    typical = float(np.nanmedian(_cell_variances(cells)[0]))
    middle = np.nanmean(cells, axis=1, keepdims=True)
    cells = np.where(np.abs(cells - middle) > _PIXEL_N_SIGMA * np.sqrt(typical), np.nan, cells)
    variances, n_free = _cell_variances(cells)
    kept = n_free > _CELL_PIX**2 / 4
    sigma = typical * np.sqrt(2 / np.maximum(n_free, 1))
    kept &= np.abs(variances - typical) < _CELL_N_SIGMA * sigma + 0.05 * typical
    variance = float(np.average(variances[kept], weights=n_free[kept]))
    scaled = variance / (1 + ratio)
    error = scaled * float(np.sqrt(2 / n_free[kept].sum()))
    return PairNoise(level, scaled, error, (1 + ratio**2) / (1 + ratio))


def _to_cells(image: FloatArray | FloatImage) -> FloatArray:
    """Cut an image into cells: shape ``(n, 256)``; what is left at its edges is dropped."""
    ny, nx = (n // _CELL_PIX for n in image.shape)
    cut = image[: ny * _CELL_PIX, : nx * _CELL_PIX].astype(np.float64)
    blocks = cut.reshape(ny, _CELL_PIX, nx, _CELL_PIX).swapaxes(1, 2).reshape(ny * nx, -1)
    cells: FloatArray = blocks[np.isfinite(blocks).sum(axis=1) > 1]
    return cells


def _cell_variances(cells: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Variance of each cell, and of how many independent values."""
    n = np.isfinite(cells).sum(axis=1)
    mean = np.nansum(cells, axis=1) / np.maximum(n, 1)
    square = np.nansum((cells - mean[:, None]) ** 2, axis=1)
    return square / np.maximum(n - 1, 1), (n - 1).astype(np.float64)


def measure_covariances(
    first: FloatImage, second: FloatImage, *, max_lag: int
) -> tuple[float, FloatArray, FloatArray]:
    """Measure how the noise of a flat goes together in pixels near each other.

    A surface of second degree is taken off the difference of the pair. What brighter pixels push
    out their neighbours get, so that the covariances are positive.

    Parameters
    ----------
    first, second
        Electrons, shape ``(ny, nx)``; NaN marks pixels not to be used.
    max_lag
        Largest distance in y and in x, in pixels.

    Returns
    -------
    level, covariance, error
        Mean signal, electrons; covariances of a flat of that level and their standard errors,
        electron**2, shape ``(max_lag + 1, max_lag + 1)``, by the distances in y and x, mean of both
        diagonals.
    """
    good = np.isfinite(first) & np.isfinite(second)
    level = float(first[good].mean(dtype=np.float64))
    ratio = level / float(second[good].mean(dtype=np.float64))
    difference = np.where(good, first - np.float32(ratio) * second, 0.0).astype(np.float64)
    difference -= _fit_surface(difference, good)
    spread = 1.4826 * float(np.median(np.abs(difference[good])))
    good &= np.abs(difference) < _PIXEL_N_SIGMA * spread
    difference[~good] = 0.0
    total, n = (_join_diagonals(part) for part in sum_products(difference, good, max_lag))
    covariance, error = total / n, np.sqrt(1 / n)
    error[0, 0] *= np.sqrt(2)
    # They go with the square of the level, so that those of the scaled flat equal the first's.
    covariance /= 2
    return level, covariance, error * covariance[0, 0]


def _join_diagonals(sums: FloatArray | npt.NDArray[np.int64]) -> FloatArray:
    """Add what lies as far to the left to what lies to the right, off the axes."""
    max_lag = len(sums) - 1
    joined = sums[:, max_lag:].astype(np.float64)
    joined[1:, 1:] += sums[1:, max_lag - 1 :: -1]
    return joined


def _fit_surface(image: FloatArray, good: npt.NDArray[np.bool_]) -> FloatArray:
    """Fit a surface of second degree to an image."""
    y, x = (np.linspace(-1, 1, n) for n in image.shape)
    terms = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    step = 3
    v, u = np.meshgrid(y[::step], x[::step], indexing="ij")
    sample, known = image[::step, ::step], good[::step, ::step]
    design = np.stack([v[known] ** i * u[known] ** j for i, j in terms], axis=1)
    values = sample[known]
    kept = np.ones(len(values), dtype=bool)
    for _ in range(2):
        # Between -1 and 1 the terms are far from alike: their products tell the solution as well.
        own = design[kept]
        solution = np.linalg.lstsq(own.T @ own, own.T @ values[kept], rcond=None)[0]
        residual = values - design @ solution
        spread = 1.4826 * np.median(np.abs(residual))
        kept = np.abs(residual) <= _PIXEL_N_SIGMA * spread
    coefficients = np.zeros((3, 3))
    for value, (i, j) in zip(solution, terms, strict=True):
        coefficients[i, j] = value
    surface: FloatArray = (
        np.vander(y, 3, increasing=True) @ coefficients @ np.vander(x, 3, increasing=True).T
    )
    return surface
