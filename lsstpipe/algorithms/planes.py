"""The three planes of an image and where they lie: what every measurement reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.image.mask import INVALID, MaskArray, MaskPlane, has

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Planes:
    """Image, variance and mask of one shape in absolute pixel coordinates.

    Attributes
    ----------
    image
        Pixel values without background, shape ``(ny, nx)``.
    variance
        Their variance, source noise included, shape ``(ny, nx)``.
    mask
        Bits of `MaskPlane`, shape ``(ny, nx)``.
    y0, x0
        Absolute coordinates of pixel ``[0, 0]``.
    """

    image: FloatImage
    variance: FloatImage
    mask: MaskArray
    y0: int = 0
    x0: int = 0

    def __post_init__(self) -> None:
        """Check that the planes agree in shape."""
        if not self.image.shape == self.variance.shape == self.mask.shape:
            raise ValueError(
                "image, variance and mask must have one shape, got "
                f"{self.image.shape}, {self.variance.shape}, {self.mask.shape}."
            )

    def usable(self, exclude: MaskPlane = INVALID) -> BoolArray:
        """Find the pixels that carry information.

        Parameters
        ----------
        exclude
            Planes whose pixels do not count.

        Returns
        -------
        numpy.ndarray
            True where the value and a positive variance are finite and no excluded plane is set.
        """
        good: BoolArray = np.isfinite(self.image) & np.isfinite(self.variance)
        return good & (self.variance > 0) & ~has(self.mask, exclude)
