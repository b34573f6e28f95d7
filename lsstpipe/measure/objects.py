"""Metrics of the catalogues: depth, PSF size on the coadd, forced photometry, ids."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from lsstpipe.algorithms.depth import depth_gain, optimal_depth_gain
from lsstpipe.algorithms.lightcurve import FluxMatrix
from lsstpipe.algorithms.repeatability import bootstrap_median, pull_width
from lsstpipe.geometry.sphere import unit_vectors
from lsstpipe.image.catalog import Catalog
from lsstpipe.measure.metric import Metric

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MAX_DEPTH_DIFFERENCE_MAG = 0.1
MAX_SIZE_DIFFERENCE = 0.02
PULL_WIDTH = (0.9, 1.15)
_DUPLICATE_ARCSEC = 0.3
_MIN_STARS = 10
_BLEND_FLAGS = ("pixelFlags_saturated", "pixelFlags_edge", "pixelFlags_bad", "psfFlux_flag")


def point_sources(objects: Catalog, min_snr: float, max_snr: float) -> BoolArray:
    """Find primary, unflagged point sources within a range of signal to noise.

    Parameters
    ----------
    objects
        Object table.
    min_snr, max_snr
        Range of PSF flux over its error.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = objects["psfFlux"] / objects["psfFluxErr"]
    result = objects.columns["detect_isPrimary"] & (objects["extendedness"] == 0)
    for name in _BLEND_FLAGS:
        result &= ~objects.columns[name].astype(bool)
    found: BoolArray = result & (snr >= min_snr) & (snr <= max_snr)
    return found


def depth_metrics(objects: Catalog, forced: FluxMatrix, rng: np.random.Generator) -> list[Metric]:
    """Judge the depth of the coadd against that of its visits, at the places of faint objects.

    Parameters
    ----------
    objects
        Object table.
    forced
        Forced PSF fluxes of the objects.
    rng
        For the standard error.
    """
    faint = point_sources(objects, 5.0, 15.0)
    rows, error, n_input = _with_forced(objects, forced, faint)
    visit_err = np.where(np.isfinite(forced.flux[rows]), forced.flux_err[rows], np.nan)
    gain = bootstrap_median(depth_gain(error, visit_err, n_input), rng)
    whole = np.sum(np.isfinite(visit_err), axis=1) == n_input
    best = bootstrap_median(optimal_depth_gain(error[whole], visit_err[whole]), rng)
    bound = MAX_DEPTH_DIFFERENCE_MAG
    return [
        Metric(
            "COA-3", "depth of the coadd minus mean of visits + 1.25 log10 n", gain.value, "mag",
            low=-bound, high=bound, n=gain.n, min_n=_MIN_STARS, error=gain.error,
            note="Positive is deeper.",
        ),
        Metric(
            "COA-3b", "depth of the coadd minus the best weighted mean of the visits", best.value,
            "mag", low=-bound, high=bound, n=best.n, min_n=_MIN_STARS, error=best.error,
            note="Positive means errors that are too small.",
        ),
    ]  # fmt: skip


def _with_forced(
    objects: Catalog, forced: FluxMatrix, wanted: BoolArray
) -> tuple[npt.NDArray[np.intp], FloatArray, FloatArray]:
    """Find some objects in the flux matrix; give rows, errors on the coadd and input counts."""
    ids = objects.columns["objectId"][wanted].astype(np.int64)
    place = np.searchsorted(forced.object_id, ids)
    place[place == len(forced.object_id)] = 0
    there = forced.object_id[place] == ids if len(forced.object_id) else np.zeros(len(ids), bool)
    chosen = np.flatnonzero(wanted)[there]
    return place[there], objects["psfFluxErr"][chosen], objects["inputCount"][chosen]


def size_differences(objects: Catalog, chosen: BoolArray) -> FloatArray:
    """Compare the sizes of stars with that of the coadd's PSF.

    Parameters
    ----------
    objects
        Object table.
    chosen
        The stars, one boolean an object.

    Returns
    -------
    difference
        Second-moment radius of the star over that of the PSF, minus one, one a star.
    """
    star = objects["ixx"][chosen] + objects["iyy"][chosen]
    psf = objects["ixxPSF"][chosen] + objects["iyyPSF"][chosen]
    result = np.full(len(star), np.nan)
    good = (star > 0) & (psf > 0)
    result[good] = np.sqrt(star[good] / psf[good]) - 1.0
    return result


def size_metric(objects: Catalog, rng: np.random.Generator) -> Metric:
    """Judge the PSF of the coadd by the size of bright stars on it.

    Parameters
    ----------
    objects
        Object table.
    rng
        For the standard error.
    """
    bright = point_sources(objects, 100.0, math.inf)
    size = bootstrap_median(size_differences(objects, bright), rng)
    return Metric(
        "COA-2", "size of bright stars on the coadd over that of its PSF, minus 1",
        100.0 * size.value, "%", low=-100 * MAX_SIZE_DIFFERENCE, high=100 * MAX_SIZE_DIFFERENCE,
        n=size.n, min_n=_MIN_STARS, error=100.0 * size.error,
    )  # fmt: skip


def pull_metric(objects: Catalog, forced: FluxMatrix, rng: np.random.Generator) -> Metric:
    """Judge the errors of forced photometry by faint stars, whose scatter is all noise.

    Parameters
    ----------
    objects
        Object table.
    forced
        Forced PSF fluxes of the objects.
    rng
        For the standard error.
    """
    faint = point_sources(objects, 10.0, 50.0)
    rows = _with_forced(objects, forced, faint)[0]
    width = pull_width(forced.flux[rows], forced.flux_err[rows], forced.good[rows], rng)
    return Metric(
        "FRC-2", "width of (flux - mean) / error of faint stars, forced", width.value, "",
        low=PULL_WIDTH[0], high=PULL_WIDTH[1], n=width.n, min_n=100, error=width.error,
        note="Point sources of S/N 10 to 50 on the coadd.",
    )  # fmt: skip


def table_metric(objects: Catalog, forced: Catalog, sources: Catalog) -> Metric:
    """Count rows whose key is not unique, and primary objects that are there twice.

    Parameters
    ----------
    objects, forced, sources
        Tables of objects, of forced sources and of sources.
    """
    keys = (
        (objects, ("objectId",)),
        (forced, ("objectId", "visit", "detector")),
        (sources, ("sourceId",)),
    )
    repeated = 0
    for table, names in keys:
        columns = [table.columns[name].astype(np.int64) for name in names]
        repeated += len(table) - len(np.unique(np.column_stack(columns), axis=0))
    primary = objects.columns["detect_isPrimary"].astype(bool)
    reach = math.radians(_DUPLICATE_ARCSEC / 3600.0)
    pairs = 0
    for band in np.unique(objects.columns["band"][primary]):
        # Each band has its own objects: those of one source in two bands are not there twice.
        own = primary & (objects.columns["band"] == band)
        unit = unit_vectors(objects["coord_ra"][own], objects["coord_dec"][own])
        pairs += len(cKDTree(unit).query_pairs(reach))
    return Metric(
        "TAB-1", "keys that are not unique, and primary objects there twice",
        float(repeated + pairs), "rows", high=0.0, n=len(objects) + len(forced) + len(sources),
        note=f"{repeated} repeated keys, {pairs} pairs of a band in {_DUPLICATE_ARCSEC} arcsec.",
    )  # fmt: skip
