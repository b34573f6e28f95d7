"""Brighter-fatter effect: charge already collected pushes later charge into the neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._brighter_fatter_kernel import add_displaced
from lsstpipe.algorithms._interpolate_kernel import fill_along_rows
from lsstpipe.errors import AlgorithmError

FloatImage = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class BrighterFatterKernel:
    """How charge displaces the borders of the pixels around it.

    Attributes
    ----------
    kernel
        Potential of one electron in the middle pixel, per electron, shape ``(k, k)`` with k odd.
        Its Laplacian is minus the covariance of flats over the square of their level,
        ``C_ij / mu**2``, and at the middle the lack of variance ``(mu - C_00) / mu**2``: it is most
        negative in the middle.
    """

    kernel: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check that the kernel has a middle."""
        shape = self.kernel.shape
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] % 2 == 0:
            raise ValueError(f"a brighter-fatter kernel is square with odd sides, got {shape}")

    def to_json_dict(self) -> dict[str, Any]:
        """Give the plain values, for a JSON document."""
        return {"kernel": self.kernel.tolist()}

    @classmethod
    def from_json_dict(cls, plain: Mapping[str, Any]) -> BrighterFatterKernel:
        """Make the value that `to_json_dict` gave the plain values of.

        Parameters
        ----------
        plain
            Field names to plain values.
        """
        return cls(np.array(plain["kernel"], dtype=np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Sharpened:
    """An image without the brighter-fatter effect.

    Attributes
    ----------
    image
        Electrons, shape ``(ny, nx)``.
    n_iterations
        How many it took.
    """

    image: FloatImage
    n_iterations: int


def correct_brighter_fatter(
    image: FloatImage,
    hole: npt.NDArray[np.bool_],
    kernel: BrighterFatterKernel,
    *,
    tolerance: float,
    max_iterations: int,
) -> Sharpened:
    """Put the charge back where it would be without the field of the charge.

    Solves ``I = F + 1/2 div(I grad(K * I))`` for I by iteration, with F as measured (Coulton et al.
    2018, AJ 155, 258, equation 22), on the borders of pixels, so that the sum of the image stays.

    Parameters
    ----------
    image
        Electrons without bias and dark current, before the flat, shape ``(ny, nx)``.
    hole
        Pixels whose value is not their charge, shape ``(ny, nx)``; they count as their rows go on
        over them and keep their values. Saturated pixels are holes where charge has run over.
    kernel
        Potential of an electron.
    tolerance
        Change of the image, electrons, below which the iteration ends.
    max_iterations
        Most iterations.

    Raises
    ------
    AlgorithmError
        If the iteration does not converge.
    """
    work = image.copy()
    where = np.nonzero(hole)
    kept = image[where]
    if len(kept):
        fill_along_rows(work, hole, np.float32(np.median(image[::8, ::8])))
    weights = kernel.kernel.astype(np.float32)
    # Beyond its edges the image goes on at its median.
    level = np.float32(np.median(work[::8, ::8]))
    n_iterations = 0
    change = np.inf
    # Memory is scarce here: the image holds the filled pixels while it is worked with.
    image[where] = work[where]
    try:
        while change >= tolerance and n_iterations < max_iterations:
            change = add_displaced(image, work, weights, level)
            n_iterations += 1
    finally:
        image[where] = kept
    if change >= tolerance:
        raise AlgorithmError(
            f"The brighter-fatter correction still changes by {change:.3g} electrons after "
            f"{max_iterations} iterations; {tolerance:g} are allowed."
        )
    work[where] = kept
    return Sharpened(work, n_iterations)
