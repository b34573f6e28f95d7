"""Magnitudes of one system in another: a polynomial of the colour."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def apply_colour_term(
    primary: FloatArray, secondary: FloatArray, coefficients: tuple[float, float, float]
) -> FloatArray:
    """Turn fluxes of a catalogue into those of a camera's band.

    The magnitude becomes ``p + c0 + c1 (p - s) + c2 (p - s)**2``, with p and s the magnitudes of
    the two fluxes (the form of Rubin's meas_algorithms and of Ivezic et al. 2007, AJ 134, 973).

    Parameters
    ----------
    primary, secondary
        Fluxes in the catalogue's bands, one unit, shape ``(n,)``.
    coefficients
        c0, c1, c2 in mag.

    Returns
    -------
    flux
        Flux in the band of the camera; NaN where a flux is not positive.
    """
    good = (primary > 0) & (secondary > 0)
    p, s = (-2.5 * np.log10(np.where(good, flux, 1.0)) for flux in (primary, secondary))
    colour = p - s
    shift = coefficients[0] + coefficients[1] * colour + coefficients[2] * colour**2
    return np.where(good, primary * 10.0 ** (-0.4 * shift), np.nan)
