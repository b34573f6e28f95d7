"""Stars as they were seen on many visits, and which of them a requirement speaks about."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.sphere import sky_positions, unit_vectors

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MIN_VISITS = 2
"""Fewest visits that a star of a sample is seen on."""

_MAX_EXTENDEDNESS = 0.9


@dataclass(frozen=True, slots=True)
class StarSample:
    """Measurements of stars, one row a star and visit, sorted by star.

    Attributes
    ----------
    star
        Number of the star, 0 to ``n_star - 1`` without gap, ascending, shape ``(n,)``.
    visit
        Visit, shape ``(n,)``.
    band
        Number of the band, shape ``(n,)``.
    ra_deg, dec_deg
        Position (ICRS), degrees, shape ``(n,)``.
    mag
        PSF magnitude, shape ``(n,)``.
    snr
        PSF flux over its error, shape ``(n,)``.
    extendedness
        0 for a point source, 1 for an extended one, shape ``(n,)``.
    is_flagged
        Whether a pixel of the source is saturated, a defect, hit by a cosmic ray or at the edge, or
        the source is not primary, shape ``(n,)``.
    e1, e2
        Ellipticity (distortion) of the star minus that of the PSF there, shape ``(n,)``.
    """

    star: IntArray
    visit: IntArray
    band: IntArray
    ra_deg: FloatArray
    dec_deg: FloatArray
    mag: FloatArray
    snr: FloatArray
    extendedness: FloatArray
    is_flagged: BoolArray
    e1: FloatArray
    e2: FloatArray

    @property
    def n_star(self) -> int:
        """Number of stars."""
        return int(self.star[-1]) + 1 if len(self.star) else 0

    @property
    def first(self) -> IntArray:
        """Row of each star's first measurement, shape ``(n_star,)``."""
        return np.searchsorted(self.star, np.arange(self.n_star)).astype(np.int64)

    @property
    def count(self) -> IntArray:
        """Number of measurements of each star, shape ``(n_star,)``."""
        return np.bincount(self.star, minlength=self.n_star).astype(np.int64)


def sort_sample(sample: StarSample) -> StarSample:
    """Sort measurements by star and number the stars without gap; their rows keep their order.

    Parameters
    ----------
    sample
        Measurements with any numbers for the stars, in any order.
    """
    order = np.argsort(sample.star, kind="stable")
    ordered = take_rows(sample, order)
    number = np.unique(ordered.star, return_inverse=True)[1]
    return replace(ordered, star=number.ravel().astype(np.int64))


def take_rows(sample: StarSample, rows: IntArray | npt.NDArray[np.intp]) -> StarSample:
    """Take some rows as they are; the numbers of the stars may then have gaps."""
    values = {name: getattr(sample, name)[rows] for name in StarSample.__slots__}
    return StarSample(**values)


def keep_stars(sample: StarSample, wanted: BoolArray) -> StarSample:
    """Keep some stars with all their measurements.

    Parameters
    ----------
    sample
        Sorted measurements.
    wanted
        One boolean a star, shape ``(n_star,)``.
    """
    return sort_sample(take_rows(sample, np.flatnonzero(wanted[sample.star])))


def select_stars(
    sample: StarSample,
    *,
    min_snr: float = 50.0,
    max_snr: float = np.inf,
    rejects_flagged: bool = True,
) -> StarSample:
    """Keep the stars that the requirements on repeatability speak about.

    Those seen at least twice, with a magnitude on all visits, pointlike on all visits, flagged on
    none, with a median signal-to-noise ratio in a range (LPM-17 as measured by Rubin's faro).

    Parameters
    ----------
    sample
        Sorted measurements.
    min_snr, max_snr
        Range of the median signal-to-noise ratio, ends included.
    rejects_flagged
        Whether a star is left out that is flagged on any visit.
    """
    good = sample.count >= MIN_VISITS
    good &= reduce_stars(sample, np.isfinite(sample.mag), np.logical_and)
    with np.errstate(invalid="ignore"):
        pointlike = sample.extendedness < _MAX_EXTENDEDNESS
    good &= reduce_stars(sample, pointlike, np.logical_and)
    if rejects_flagged:
        good &= ~reduce_stars(sample, sample.is_flagged, np.logical_or)
    snr = star_median(sample, sample.snr)
    good &= (snr >= min_snr) & (snr <= max_snr)
    return keep_stars(sample, good)


def reduce_stars(sample: StarSample, values: BoolArray, operation: np.ufunc) -> BoolArray:
    """Join the booleans of each star's measurements by a logical operation, ``(n_star,)``."""
    if not sample.n_star:
        return np.zeros(0, bool)
    joined: BoolArray = operation.reduceat(values, sample.first)
    return joined


def star_median(sample: StarSample, values: FloatArray) -> FloatArray:
    """Take the median over each star's finite measurements, shape ``(n_star,)``.

    Parameters
    ----------
    sample
        Sorted measurements.
    values
        One a measurement, shape ``(n,)``.
    """
    order = np.lexsort((values, sample.star))
    finite = np.isfinite(values)
    # NaN sorts last within a star, infinity before it: count what is finite.
    n = np.bincount(sample.star[finite], minlength=sample.n_star)
    skipped = np.bincount(sample.star[np.isneginf(values)], minlength=sample.n_star)
    ordered, start = values[order], sample.first + skipped
    result = np.full(sample.n_star, np.nan)
    known = n > 0
    low = start[known] + (n[known] - 1) // 2
    high = start[known] + n[known] // 2
    result[known] = 0.5 * (ordered[low] + ordered[high])
    return result


def mean_positions(sample: StarSample) -> tuple[FloatArray, FloatArray]:
    """Average the positions of each star on the sphere.

    Parameters
    ----------
    sample
        Sorted measurements.

    Returns
    -------
    ra_deg, dec_deg
        Shape ``(n_star,)``.
    """
    vectors = unit_vectors(sample.ra_deg, sample.dec_deg)
    total: FloatArray = np.stack(
        [np.bincount(sample.star, weights=v, minlength=sample.n_star) for v in vectors.T], axis=1
    )
    return sky_positions(total)
