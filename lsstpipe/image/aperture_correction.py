"""Ratio of a calibration aperture's flux to the PSF flux, smooth over an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ApertureCorrection:
    """A Chebyshev series over a box by which a PSF flux is multiplied.

    Attributes
    ----------
    coefficients
        Entry ``[i][j]`` multiplies ``T_i(v) * T_j(u)``; only total degrees up to the
        order are used.
    box
        ``(y0, x0, ny, nx)``: pixels over which v and u run from -1 to 1. Outside, the value at the
        nearest point of the box holds.
    error
        Standard deviation of the ratio of one star about the series, beyond its measurement error.
    n_stars
        Stars that the series was fitted to.
    """

    coefficients: tuple[tuple[float, ...], ...]
    box: tuple[int, int, int, int]
    error: float = 0.0
    n_stars: int = 0

    def factor(self, *, y: npt.ArrayLike, x: npt.ArrayLike) -> FloatArray:
        """Evaluate the factor from PSF flux to calibration aperture flux.

        Parameters
        ----------
        y, x
            Absolute pixel positions; their shapes broadcast.
        """
        v, u = normalise(self.box, y=y, x=x)
        value: FloatArray = np.polynomial.chebyshev.chebval2d(v, u, np.asarray(self.coefficients))
        return value


def normalise(
    box: tuple[int, int, int, int], *, y: npt.ArrayLike, x: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Map the pixels of a box to -1 .. 1.

    Parameters
    ----------
    box
        ``(y0, x0, ny, nx)``.
    y, x
        Absolute pixel positions; their shapes broadcast.

    Returns
    -------
    v, u
        Normalised coordinates, clipped to the box.
    """
    y0, x0, ny, nx = box
    v, u = np.broadcast_arrays(
        (np.asarray(y, dtype=np.float64) - (y0 + 0.5 * (ny - 1))) / (0.5 * ny),
        (np.asarray(x, dtype=np.float64) - (x0 + 0.5 * (nx - 1))) / (0.5 * nx),
    )
    return np.clip(v, -1.0, 1.0), np.clip(u, -1.0, 1.0)
