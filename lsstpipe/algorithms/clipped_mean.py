"""Mean of a stack of images with outliers left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_BLOCK_ROWS = 16


@dataclass(frozen=True, slots=True)
class ClippedMean:
    """A clipped mean of a stack.

    Attributes
    ----------
    mean
        Mean of the values that were kept, shape ``(ny, nx)``; NaN where none was.
    n_used
        Number of values kept in each pixel, shape ``(ny, nx)``.
    weight
        Sum of their weights, shape ``(ny, nx)``.
    """

    mean: npt.NDArray[np.float64]
    n_used: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]


def clipped_mean(
    stack: npt.NDArray[np.floating],
    sigma: npt.NDArray[np.floating],
    *,
    n_sigma: float,
    n_iterations: int = 3,
    weights: npt.ArrayLike = 1.0,
) -> ClippedMean:
    """Average a stack without the values that lie far from their pixel's median.

    The distance is measured in the known noise of each value, not in the scatter of the few values
    of a pixel, which an outlier inflates.

    Parameters
    ----------
    stack
        Values, shape ``(n, ny, nx)``; NaN marks what is not to be used.
    sigma
        Standard deviation of each value, broadcastable to the shape of ``stack``.
    n_sigma
        Distance in standard deviations from which a value is an outlier.
    n_iterations
        Rounds; the first measures from the median, the others from the mean of what is left.
    weights
        Weight of each image, shape ``(n,)``, or one for all.
    """
    ny = stack.shape[1]
    share = np.broadcast_to(np.asarray(weights, dtype=np.float64), len(stack))[:, None, None]
    mean = np.empty(stack.shape[1:], dtype=np.float64)
    weight = np.empty(stack.shape[1:], dtype=np.float64)
    used = np.empty(stack.shape[1:], dtype=np.int64)
    sigma = np.broadcast_to(sigma, stack.shape)
    for first in range(0, ny, _BLOCK_ROWS):
        rows = slice(first, first + _BLOCK_ROWS)
        mean[rows], used[rows], weight[rows] = _clip_block(
            stack[:, rows], sigma[:, rows], share, (n_sigma, n_iterations)
        )
    return ClippedMean(mean, used, weight)


def _clip_block(
    stack: npt.NDArray[np.floating],
    sigma: npt.NDArray[np.floating],
    share: npt.NDArray[np.float64],
    clipping: tuple[float, int],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Average some rows: a block that fits the cache is several times quicker than the whole."""
    n_sigma, n_iterations = clipping
    known = np.isfinite(stack)
    values = np.where(known, stack, np.float32(0)).astype(np.float64)
    center = _median(stack)
    good = known
    weight = np.where(known, share, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        for _ in range(n_iterations):
            good = known & (np.abs(values - center) <= n_sigma * sigma)
            weight = np.where(good, share, 0.0).sum(axis=0)
            total = np.where(good, values * share, 0.0).sum(axis=0)
            center = np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)
    return center, good.sum(axis=0), weight


def _median(stack: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Median over the first axis of what is not NaN; NaN where all are."""
    ordered = np.sort(stack, axis=0)  # NaN sorts last
    n = np.isfinite(ordered).sum(axis=0)
    low = np.take_along_axis(ordered, np.maximum((n - 1) // 2, 0)[None], axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(n // 2, len(stack) - 1)[None], axis=0)[0]
    result: npt.NDArray[np.float64] = (low.astype(np.float64) + high) / 2
    return result
