"""Depth: the magnitude at which a point source has five times its error, and what a coadd gains."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lsstpipe.image.photocalib import AB_NJY

FloatArray = npt.NDArray[np.float64]


def limiting_magnitude(flux_err: npt.ArrayLike, n_sigma: float = 5.0) -> FloatArray:
    """Convert errors of faint point sources to limiting magnitudes.

    Parameters
    ----------
    flux_err
        Standard errors of PSF fluxes in nJy, any shape; the source's own noise must be negligible.
    n_sigma
        Significance at the limit.

    Returns
    -------
    magnitude
        AB magnitudes, same shape; NaN where the error is not positive.
    """
    error = np.asarray(flux_err, dtype=np.float64)
    result = np.full(error.shape, np.nan)
    good = error > 0
    result[good] = AB_NJY - 2.5 * np.log10(n_sigma * error[good])
    return result


def depth_gain(coadd_err: FloatArray, visit_err: FloatArray, n_input: FloatArray) -> FloatArray:
    """Compare the depth of a coadd with ``mean of the visits + 1.25 log10(n)``, object by object.

    Parameters
    ----------
    coadd_err
        Errors of the objects' PSF fluxes on the coadd, shape ``(n_object,)``.
    visit_err
        Errors at the same places on the visits, NaN where there is none, ``(n_object, n_visit)``.
    n_input
        Number of visits in the coadd at each object, shape ``(n_object,)``.

    Returns
    -------
    difference
        Depth of the coadd minus the expected one, mag, shape ``(n_object,)``; positive is deeper.
        NaN where the visits with an error are not those of the coadd.
    """
    n_visit = np.sum(np.isfinite(visit_err), axis=1)
    same = (n_visit == n_input) & (n_visit > 0)
    result = np.full(len(coadd_err), np.nan)
    visits = np.nanmean(limiting_magnitude(visit_err[same]), axis=1)
    result[same] = limiting_magnitude(coadd_err[same]) - visits - 1.25 * np.log10(n_visit[same])
    return result


def optimal_depth_gain(coadd_err: FloatArray, visit_err: FloatArray) -> FloatArray:
    """Compare the depth of a coadd with that of the best weighted mean of the visits' fluxes.

    Parameters
    ----------
    coadd_err
        Errors of the objects' PSF fluxes on the coadd, shape ``(n_object,)``.
    visit_err
        Errors at the same places on the visits, NaN where there is none, ``(n_object, n_visit)``.

    Returns
    -------
    difference
        Depth of the coadd minus the best one, mag, shape ``(n_object,)``; a positive value says
        that the errors on the coadd are too small.
    """
    information = np.nansum(1.0 / visit_err**2, axis=1)
    best = np.full(len(coadd_err), np.nan)
    best[information > 0] = information[information > 0] ** -0.5
    result: FloatArray = limiting_magnitude(coadd_err) - limiting_magnitude(best)
    return result
