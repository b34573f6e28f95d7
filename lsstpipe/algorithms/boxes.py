"""Means over square boxes of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._boxes_kernel import sum_boxes

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_MIN_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class BoxMeans:
    """Means over the boxes that have enough good pixels.

    Attributes
    ----------
    mean
        Mean of the good pixels of each box, shape ``(n_box,)``.
    variance
        Variance of that mean by the noise of the pixels, shape ``(n_box,)``.
    """

    mean: FloatArray
    variance: FloatArray


def average_boxes(
    image: FloatImage | FloatArray,
    variance: FloatImage | FloatArray,
    usable: BoolArray,
    *,
    size: int,
) -> BoxMeans:
    """Average an image over boxes; those with less than 30 % of good pixels are left out.

    Parameters
    ----------
    image, variance
        Pixel values and their variance, shape ``(ny, nx)``.
    usable
        Pixels that count, same shape.
    size
        Side of a box, pixels; what is left at the upper edges makes smaller boxes.
    """
    total, noise, n = sum_boxes(image, variance, usable, size)
    height, width = (
        np.diff(np.append(np.arange(0, length, size), length)) for length in image.shape
    )
    kept = n > _MIN_SHARE * np.outer(height, width)
    return BoxMeans(total[kept] / n[kept], noise[kept] / n[kept] ** 2)
