"""The metrics of LSST's science requirements document (LPM-17), as Rubin's faro measures them.

The definitions give faro's answers on real Hyper Suprime-Cam catalogues; see its test.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.ellipticity import correlate_ellipticities
from lsstpipe.algorithms.repeatability import (
    expected_rms,
    magnitude_residuals,
    magnitude_rms,
    pair_differences,
    systematic_floor,
    weighted_percentile,
)
from lsstpipe.algorithms.separation import PairScatter, measure_band_offsets, measure_pairs
from lsstpipe.algorithms.star_sample import (
    StarSample,
    keep_stars,
    mean_positions,
    select_stars,
    star_median,
)
from lsstpipe.algorithms.stellar_locus import fit_gri_locus
from lsstpipe.measure.acceptance import judge
from lsstpipe.measure.metric import Metric
from lsstpipe.measure.sampling import jackknife, take_mean, take_median

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PA1_MIN_SNR = 200.0
PA2_MMAG = 15.0
RINGS_ARCMIN = {"1": 5.0, "2": 20.0, "3": 200.0}
"""Distance of the pairs of AM1, AM2 and AM3; the ring reaches one arcmin to both sides."""

_PAIR_MAG = (17.0, 21.5)
_RING_HALF_WIDTH_ARCMIN = 1.0
_OUTLIER_MAS = {"1": 20.0, "2": 20.0, "3": 30.0}
_OUTLIER_PERCENT = 10.0
_ELLIPTICITY_EDGES_ARCMIN = 0.25 * 80.0 ** (np.arange(21) / 20.0)
_TE1_ARCMIN, _TE2_ARCMIN = 1.0, 5.0
_SEED = 17
_ERROR_OF_MAD = 1.16
"""Standard error of a width from the median absolute deviation, times sqrt(n) over the width."""


def repeatability_requirements(sample: StarSample, where: str = "") -> list[Metric]:
    """Measure how well magnitudes of bright stars repeat: PA1, PF1, PA2, and PA1 without noise.

    Parameters
    ----------
    sample
        All measurements of one band.
    where
        The band.
    """
    bright = select_stars(sample, min_snr=PA1_MIN_SNR, rejects_flagged=False)
    often = keep_stars(bright, bright.count > 2)
    rms, expected = magnitude_rms(often), expected_rms(often)
    unbiased = rms * np.sqrt(often.count / (often.count - 1.0))
    floor = systematic_floor(unbiased, expected, often.count, np.random.default_rng(_SEED))
    outlier = np.where(np.abs(magnitude_residuals(often)) > PA2_MMAG, 100.0, 0.0)
    stars = select_stars(sample)
    pairs, percent = pair_differences(stars), 100.0 - _OUTLIER_PERCENT

    def widest(rows: IntArray) -> float:
        return weighted_percentile(pairs.difference_mmag[rows], pairs.weight[rows], percent)

    return [
        judge(
            "PA1", take_median(rms).value, n=often.n_star, where=where,
            error=jackknife(lambda rows: take_median(rms[rows]).value, np.arange(len(rms))),
            note=f"Median S/N above {PA1_MIN_SNR:g}, three visits or more; "
            f"the errors predict {take_median(expected).value:.1f} mmag.",
        ),
        judge("PA1-floor", floor.value, n=floor.n, error=floor.error, where=where),
        judge(
            "PF1", take_mean(outlier).value, n=often.n_star, where=where,
            error=jackknife(lambda rows: take_mean(outlier[rows]).value, often.star),
        ),
        judge(
            "PA2", widest(np.arange(len(pairs.star))), n=stars.n_star, where=where,
            error=jackknife(widest, pairs.star),
            note="Median S/N above 50, unflagged; "
            f"the errors predict {pairs.expected_percentile(percent):.1f} mmag.",
        ),
    ]  # fmt: skip


def separation_requirements(sample: StarSample, where: str = "") -> list[Metric]:
    """Measure how well separations of pairs of stars repeat: AM, AD and AF at three distances.

    Parameters
    ----------
    sample
        All measurements of one band, positions by the final maps.
    where
        The band.
    """
    stars = _moderate_stars(sample)
    metrics = []
    for ring, distance in RINGS_ARCMIN.items():
        pairs = measure_pairs(
            stars,
            min_arcmin=distance - _RING_HALF_WIDTH_ARCMIN,
            max_arcmin=distance + _RING_HALF_WIDTH_ARCMIN,
        )
        metrics += _judge_ring(pairs, ring, where)
    return metrics


def _moderate_stars(sample: StarSample) -> StarSample:
    """Keep the stars of the range of magnitudes that the requirements on astrometry name."""
    stars = select_stars(sample)
    mag = star_median(stars, stars.mag)
    return keep_stars(stars, (mag >= _PAIR_MAG[0]) & (mag < _PAIR_MAG[1]))


def _judge_ring(pairs: PairScatter, ring: str, where: str) -> list[Metric]:
    """Judge the pairs at one distance."""
    deviation = pairs.deviation_mas
    # As faro does: the median of the deviations is taken off before they are counted.
    excess = deviation - take_median(deviation).value
    outlier = np.where(np.abs(excess) > _OUTLIER_MAS[ring], 100.0, 0.0)

    def widest(rows: IntArray) -> float:
        return float(np.percentile(excess[rows], 100.0 - _OUTLIER_PERCENT)) if len(rows) else np.nan

    every = np.arange(len(deviation))
    return [
        judge(
            f"AM{ring}", take_median(pairs.rms_mas).value, n=len(pairs.rms_mas), where=where,
            error=jackknife(lambda rows: take_median(pairs.rms_mas[rows]).value, pairs.first_star),
            note="Stars of 17 to 21.5 mag, median S/N above 50.",
        ),
        judge(
            f"AD{ring}", widest(every), n=len(deviation), where=where,
            error=jackknife(widest, pairs.deviation_star),
        ),
        judge(
            f"AF{ring}", take_mean(outlier).value, n=len(deviation), where=where,
            error=jackknife(lambda rows: take_mean(outlier[rows]).value, pairs.deviation_star),
        ),
    ]  # fmt: skip


def band_requirement(sample: StarSample, *, band: int, reference_band: int, where: str) -> Metric:
    """Measure how positions of one band scatter about those of another: AB1.

    Parameters
    ----------
    sample
        All measurements of all bands.
    band, reference_band
        Numbers of the bands.
    where
        The band.
    """
    rms = measure_band_offsets(_moderate_stars(sample), band=band, reference_band=reference_band)
    return judge(
        "AB1", take_mean(rms).value, n=len(rms), where=where,
        note=f"Mean over {len(rms)} pairs of visits.",
        error=float(np.std(rms, ddof=1)) / math.sqrt(len(rms)) if len(rms) > 1 else math.nan,
    )  # fmt: skip


def ellipticity_requirements(sample: StarSample, where: str = "") -> list[Metric]:
    """Measure the correlation of the ellipticities that the PSF does not explain: TE1, TE2.

    Parameters
    ----------
    sample
        All measurements of one band.
    where
        The band.
    """
    stars = select_stars(sample)
    residual = np.stack([star_median(stars, stars.e1), star_median(stars, stars.e2)])
    found = correlate_ellipticities(*mean_positions(stars), residual, _ELLIPTICITY_EDGES_ARCMIN)
    radius = np.nan_to_num(found.radius_arcmin)
    metrics = []
    for id, inside, unit in (
        ("TE1", radius <= _TE1_ARCMIN, 1e-5),
        ("TE2", radius >= _TE2_ARCMIN, 1e-7),
    ):
        value, error, n_pair = found.average(inside)
        metrics.append(
            judge(id, abs(value) / unit, n=n_pair, error=error / unit, where=where,
                  note=f"Pairs of {stars.n_star} stars.")
        )  # fmt: skip
    return metrics


def catalogue_requirement(offset_mas: FloatArray, error_mas: FloatArray, where: str = "") -> Metric:
    """Measure how far stars lie from the catalogue: AA1.

    Parameters
    ----------
    offset_mas
        Offsets of stars kept out of the fit along ra times cos(dec) and dec, mas, ``(2, n)``.
    error_mas
        Standard error per axis, of measurement and catalogue together, mas, shape ``(n,)``.
    where
        The band.
    """
    good = np.isfinite(offset_mas).all(axis=0)
    distance = np.hypot(*offset_mas[:, good])
    noise = 1.1774 * take_median(error_mas[good]).value
    return judge(
        "AA1", take_median(distance).value, n=int(good.sum()), where=where,
        error=jackknife(lambda rows: take_median(distance[rows]).value, np.arange(len(distance))),
        note=f"Noise alone makes {noise:.1f} mas.",
    )  # fmt: skip


def locus_requirement(mag: FloatArray, mag_err: FloatArray) -> Metric:
    """Measure how wide the stellar locus is beyond the noise of its colours: wPerp.

    Parameters
    ----------
    mag, mag_err
        Magnitudes in g, r, i free of extinction, and their standard errors, of stars brighter than
        r = 22.5 and with a signal-to-noise ratio above 300, mag, shape ``(3, n)``.
    """
    locus = fit_gri_locus(mag[0] - mag[1], mag[1] - mag[2])
    slope, norm = locus.slope, np.hypot(1.0, locus.slope)
    factors = np.array([-slope, 1.0 + slope, -1.0])[:, None] / norm
    noise = 1000.0 * float(np.sqrt(take_median(np.sum((factors * mag_err) ** 2, axis=0)).value))
    width, n = 1000.0 * locus.width, len(locus.distance)
    excess = math.sqrt(max(0.0, width**2 - noise**2)) if math.isfinite(width) else math.nan
    spread = _ERROR_OF_MAD * width / math.sqrt(max(n, 1))
    error = min(width * spread / max(excess, 1e-9), math.sqrt(2.0 * width * spread))
    return judge(
        "LOC-1", excess, n=n, error=error,
        note=f"Width {width:.1f} mmag, of which noise {noise:.1f}.",
    )  # fmt: skip
