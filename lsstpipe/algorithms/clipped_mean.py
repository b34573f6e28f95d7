"""Mean of a stack of images with outliers left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._clipped_mean_kernel import clip_pixels, median_pixels


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
    n, *shape = stack.shape
    share = np.array(np.broadcast_to(np.asarray(weights, dtype=np.float64), n))
    mean, weight = np.empty(shape, dtype=np.float64), np.empty(shape, dtype=np.float64)
    used = np.empty(shape, dtype=np.int64)
    limit = np.broadcast_to(n_sigma * sigma, stack.shape)
    clip_pixels(stack, limit, share, n_iterations, (mean, used, weight))
    return ClippedMean(mean, used, weight)


def median_of_stack(stack: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Take the median of each pixel of a stack.

    Parameters
    ----------
    stack
        Values, shape ``(n, ny, nx)``; NaN marks what is not to be used.

    Returns
    -------
    numpy.ndarray
        Medians, shape ``(ny, nx)``; NaN where no value is known.
    """
    result = np.empty(stack.shape[1:], dtype=stack.dtype)
    median_pixels(stack, result)
    return result
