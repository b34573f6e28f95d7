"""Means over square boxes of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
    rows, columns = (np.arange(0, length, size) for length in image.shape)
    total, noise, n = (
        np.add.reduceat(np.add.reduceat(np.where(usable, part, 0.0), rows, axis=0), columns, axis=1)
        for part in (image, variance, np.float64(1.0))
    )
    height, width = (
        np.diff(np.append(starts, length))
        for starts, length in zip((rows, columns), image.shape, strict=True)
    )
    kept = n > _MIN_SHARE * np.outer(height, width)
    return BoxMeans(total[kept] / n[kept], noise[kept] / n[kept] ** 2)
