"""Ellipticities of stars and the correlation of their residuals from the PSF (LPM-17, TE)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._ellipticity_kernel import correlate
from lsstpipe.geometry.sphere import unit_vectors

FloatArray = npt.NDArray[np.float64]


def ellipticity(ixx: FloatArray, iyy: FloatArray, ixy: FloatArray) -> FloatArray:
    """Convert second moments to ellipticities, in the convention of the distortion.

    Parameters
    ----------
    ixx, iyy, ixy
        Second moments, one unit, shape ``(n,)``.

    Returns
    -------
    e1, e2
        ``(ixx - iyy) / (ixx + iyy)`` and ``2 ixy / (ixx + iyy)``, shape ``(2, n)``; NaN where the
        size is not positive.
    """
    size = np.where(ixx + iyy > 0, ixx + iyy, np.nan)
    return np.stack([(ixx - iyy) / size, 2.0 * ixy / size])


@dataclass(frozen=True, slots=True)
class EllipticityCorrelation:
    """Mean product of the ellipticities of pairs of stars by distance.

    Attributes
    ----------
    radius_arcmin
        Mean distance (of the logarithm) of the pairs of a bin, NaN without pairs, ``(n_bin,)``.
    value
        Mean of ``e1 e1' + e2 e2'``, shape ``(n_bin,)``.
    error
        Its standard error were the pairs independent, shape ``(n_bin,)``.
    n_pair
        Number of pairs, shape ``(n_bin,)``.
    """

    radius_arcmin: FloatArray
    value: FloatArray
    error: FloatArray
    n_pair: npt.NDArray[np.int64]

    def average(self, inside: npt.NDArray[np.bool_]) -> tuple[float, float, int]:
        """Average some bins, each with the same weight as LPM-17's code does.

        Parameters
        ----------
        inside
            Which bins, shape ``(n_bin,)``.

        Returns
        -------
        value, error, n_pair
            NaN and 0 where none has a pair.
        """
        some = inside & (self.n_pair > 0)
        n = int(some.sum())
        if not n:
            return float("nan"), float("nan"), 0
        error = float(np.sqrt(np.sum(self.error[some] ** 2))) / n
        return float(np.mean(self.value[some])), error, int(self.n_pair[some].sum())


def correlate_ellipticities(
    ra_deg: FloatArray, dec_deg: FloatArray, e: FloatArray, edges_arcmin: FloatArray
) -> EllipticityCorrelation:
    """Correlate the ellipticities of stars over all pairs in bins of distance.

    The correlation is xi+, whose value does not depend on the direction of the axes that the
    components are measured along as long as both stars of a pair have the same. The convergence of
    the meridians is neglected: at declination 60 and 20 arcmin it changes xi+ by 2e-4 of itself.

    Parameters
    ----------
    ra_deg, dec_deg
        Positions (ICRS), degrees, shape ``(n,)``.
    e
        Components, shape ``(2, n)``; stars with NaN are left out.
    edges_arcmin
        Ascending edges of the bins, arcmin, shape ``(n_bin + 1,)``.
    """
    good = np.isfinite(e).all(axis=0)
    chords = 2.0 * np.sin(0.5 * np.deg2rad(edges_arcmin / 60.0))
    vectors = unit_vectors(ra_deg[good], dec_deg[good])
    n, log_chord, product, square = correlate(vectors, np.ascontiguousarray(e[:, good].T), chords).T
    with np.errstate(invalid="ignore", divide="ignore"):
        value = product / n
        radius = 60.0 * np.rad2deg(2.0 * np.arcsin(0.5 * np.exp(log_chord / n)))
        spread = np.sqrt(np.clip(square / n - value**2, 0.0, None))
        error = spread / np.sqrt(n)
    return EllipticityCorrelation(radius, value, error, n.astype(np.int64))
