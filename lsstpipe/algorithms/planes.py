"""The three planes of an image and where they lie: what every measurement reads."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._planes_kernel import usable_pixels, with_bits
from lsstpipe.image.mask import INVALID, MaskArray, MaskPlane

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
        good: BoolArray = usable_pixels(self.image, self.variance, self.mask, int(exclude))
        return good

    def with_plane(self, plane: MaskPlane, where: BoolArray) -> Planes:
        """Set a mask plane on some pixels.

        Parameters
        ----------
        plane
            The plane.
        where
            The pixels, shape ``(ny, nx)``.

        Returns
        -------
        Planes
            The same image with another mask.
        """
        return replace(self, mask=with_bits(self.mask, where, int(plane)))


def list_pixels(where: BoolArray) -> npt.NDArray[np.int64]:
    """List rows and columns of the set pixels, row by row, shape ``(n, 2)``.

    The same as `numpy.argwhere`, and many times quicker where few pixels are set.

    Parameters
    ----------
    where
        The pixels, shape ``(ny, nx)``.
    """
    return np.stack(np.divmod(np.flatnonzero(where), where.shape[1]), axis=1)
