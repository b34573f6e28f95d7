"""Stars of a campaign as the requirements want them: positions and magnitudes by the final maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.ellipticity import ellipticity
from lsstpipe.algorithms.star_sample import StarSample, sort_sample, take_rows
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.photocalib import magnitude, photo_calib_from_json
from lsstpipe.measure.metric import Metric
from lsstpipe.measure.requirements import (
    band_requirement,
    catalogue_requirement,
    ellipticity_requirements,
    repeatability_requirements,
    separation_requirements,
)

Json = Mapping[str, Any]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_PIXEL_FLAGS = ("saturated", "cr", "bad", "edge")
_REFERENCE_BAND = "r"
_MAS_PER_DEGREE = 3.6e6


def gather_stars(
    isolated: Catalog, sources: Catalog, summaries: Sequence[Json], bands: Sequence[str]
) -> StarSample:
    """Gather the measurements of the isolated stars of a tract.

    Parameters
    ----------
    isolated
        Isolated stars: one row a source.
    sources
        The table of all sources, which knows their shapes and flags.
    summaries
        The final calibration of each visit; sources of detectors that are not in it are left out.
    bands
        The bands, whose place is their number.
    """
    order = np.argsort(sources.columns["sourceId"], kind="stable")
    ids = sources.columns["sourceId"][order].astype(np.int64)
    own = isolated.columns["sourceId"].astype(np.int64)
    place = np.minimum(np.searchsorted(ids, own), max(len(ids) - 1, 0))
    there = ids[place] == own if len(ids) else np.zeros(len(own), bool)
    stars, rows = isolated.select(there), sources.select(order[place[there]])
    ra, dec, flux = _calibrate(stars, summaries)
    flagged = ~rows.columns["detect_isPrimary"].astype(bool)
    for name in _PIXEL_FLAGS:
        flagged |= rows.columns[f"pixelFlags_{name}"].astype(bool)
    star_e, psf_e = (
        ellipticity(rows[f"ixx{kind}"], rows[f"iyy{kind}"], rows[f"ixy{kind}"])
        for kind in ("", "PSF")
    )
    number = {band: i for i, band in enumerate(bands)}
    with np.errstate(invalid="ignore", divide="ignore"):
        sample = StarSample(
            star=stars.columns["isolatedStarId"].astype(np.int64),
            visit=stars.columns["visit"].astype(np.int64),
            band=np.array([number[str(band)] for band in rows.columns["band"]], np.int64),
            ra_deg=ra,
            dec_deg=dec,
            mag=magnitude(flux),
            snr=stars["psfFlux"] / stars["psfFluxErr"],
            extendedness=rows["extendedness"],
            is_flagged=flagged,
            e1=star_e[0] - psf_e[0],
            e2=star_e[1] - psf_e[1],
        )
    return sort_sample(take_rows(sample, np.flatnonzero(np.isfinite(ra))))


def _calibrate(
    stars: Catalog, summaries: Sequence[Json]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Apply the final maps and scales; NaN where a detector has none."""
    ra, dec, flux = (np.full(len(stars), np.nan) for _ in range(3))
    visit, detector = stars.columns["visit"], stars.columns["detector"]
    for summary in summaries:
        for part in summary["detectors"]:
            rows = np.flatnonzero((visit == summary["visit"]) & (detector == part["detector"]))
            if not len(rows):
                continue
            y, x = stars["y"][rows], stars["x"][rows]
            ra[rows], dec[rows] = SkyWcs.from_json_dict(part["wcs"]).pixel_to_sky(y=y, x=x)
            factor = photo_calib_from_json(part["photo_calib"]).factor(y=y, x=x)
            flux[rows] = stars["psfFlux"][rows] * factor
    return ra, dec, flux


def join_samples(samples: Sequence[StarSample]) -> StarSample:
    """Put the stars of several tracts into one sample; each star keeps to its tract.

    Parameters
    ----------
    samples
        One a tract, at least one.
    """
    shift = np.cumsum([0, *(sample.n_star for sample in samples)])
    values = {
        name: np.concatenate([getattr(sample, name) for sample in samples])
        for name in StarSample.__slots__
    }
    numbers = [sample.star + start for sample, start in zip(samples, shift[:-1], strict=True)]
    return sort_sample(StarSample(**values | {"star": np.concatenate(numbers)}))


def requirement_metrics(sample: StarSample, bands: Sequence[str]) -> list[Metric]:
    """Judge the stars of a campaign by the requirements on them, each band by itself.

    Parameters
    ----------
    sample
        All measurements.
    bands
        The bands, whose place is their number.
    """
    metrics = []
    for number, band in enumerate(bands):
        own = sort_sample(take_rows(sample, np.flatnonzero(sample.band == number)))
        where = band if len(bands) > 1 else ""
        metrics += repeatability_requirements(own, where)
        metrics += separation_requirements(own, where)
        metrics += ellipticity_requirements(own, where)
    if len(bands) > 1:
        first = bands.index(_REFERENCE_BAND) if _REFERENCE_BAND in bands else 0
        metrics += [
            band_requirement(sample, band=number, reference_band=first, where=band)
            for number, band in enumerate(bands)
        ]
    return metrics


def reserved_offsets(fits: Sequence[Json]) -> Metric:
    """Judge how far stars that were kept out of the joint fit lie from the catalogue: AA1.

    Parameters
    ----------
    fits
        What the joint astrometry of each tract found.
    """
    ra, dec, error = (
        np.array([v for fit in fits for v in fit["reserved_stars"][name]], dtype=np.float64)
        for name in ("ra_mas", "dec_mas", "err_mas")
    )
    return catalogue_requirement(np.stack([ra, dec]), error)
