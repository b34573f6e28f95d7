"""Crosstalk: ghosts that the signal of one amplifier leaves in those read at the same time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._crosstalk_kernel import subtract_sums


@dataclass(frozen=True, slots=True, eq=False)
class CrosstalkMatrix:
    """What share of each amplifier's signal appears in each other one.

    Attributes
    ----------
    amplifiers
        Names, in the order of the detector.
    coefficients
        Electrons in the victim (row) per electron in the source (column), as measured, shape
        ``(n, n)``; 0 on the diagonal.
    """

    amplifiers: tuple[str, ...]
    coefficients: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check that the matrix is one."""
        n = len(self.amplifiers)
        if self.coefficients.shape != (n, n) or np.diag(self.coefficients).any():
            raise ValueError(
                f"the crosstalk of {n} amplifiers is a matrix of shape {(n, n)} with 0 on its "
                f"diagonal, got shape {self.coefficients.shape}"
            )

    def to_json_dict(self) -> dict[str, Any]:
        """Give the plain values, for a JSON document."""
        return {
            "amplifiers": list(self.amplifiers),
            "coefficients": self.coefficients.tolist(),
        }

    @classmethod
    def from_json_dict(cls, plain: Mapping[str, Any]) -> CrosstalkMatrix:
        """Make the value that `to_json_dict` gave the plain values of.

        Parameters
        ----------
        plain
            Field names to plain values.
        """
        coefficients = np.array(plain["coefficients"], dtype=np.float64)
        return cls(tuple(plain["amplifiers"]), coefficients)


def subtract_crosstalk(
    cube: npt.NDArray[np.float32], matrix: CrosstalkMatrix, *, flag_from: float
) -> npt.NDArray[np.bool_]:
    """Subtract the crosstalk of all amplifiers from each other, in place.

    What is subtracted follows from the signal with its crosstalk in it; the error of that is of
    second order in the coefficients, 1e-8 of the signal where they are 1e-4.

    Parameters
    ----------
    cube
        Electrons of each amplifier in the order in which its pixels are read, shape
        ``(n, ny, nx)``; changed in place.
    matrix
        Coefficients of the amplifiers, in the order of the cube; what is not finite counts as 0.
    flag_from
        Electrons of crosstalk from which a pixel is flagged.

    Returns
    -------
    numpy.ndarray
        True where at least so much was subtracted, shape ``(n, ny, nx)``.
    """
    flagged = np.zeros(cube.shape, dtype=bool)
    coefficients = np.nan_to_num(matrix.coefficients, posinf=0.0, neginf=0.0).astype(np.float32)
    subtract_sums(cube, coefficients, np.float32(flag_from), flagged)
    return flagged
