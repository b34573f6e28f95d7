"""Separations of stars: how well they repeat over visits, and between bands (LPM-17, AM and AB)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from lsstpipe.algorithms.star_sample import StarSample, mean_positions
from lsstpipe.geometry.sphere import angular_separation_deg, unit_vectors

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MAS_PER_DEGREE = 3.6e6

_MIN_FOR_RMS = 2
_MIN_FOR_MEDIAN = 3
_STARS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class PairScatter:
    """How the separations of pairs of stars scatter over the visits.

    Attributes
    ----------
    rms_mas
        Sample standard deviation of each pair's separations, shape ``(n_pair,)``.
    first_star
        One of the two stars of each of these pairs, shape ``(n_pair,)``; pairs that share a star
        are not independent.
    deviation_mas
        Distance of each single separation from its pair's median, of pairs seen on at least three
        visits, shape ``(n_separation,)``.
    deviation_star
        One of the two stars of each of them, shape ``(n_separation,)``.
    """

    rms_mas: FloatArray
    first_star: IntArray
    deviation_mas: FloatArray
    deviation_star: IntArray


def measure_pairs(
    sample: StarSample, *, min_arcmin: float, max_arcmin: float, max_n_pair: int = 1_000_000
) -> PairScatter:
    """Measure the scatter of the separations of pairs of stars in a ring of distances.

    Parameters
    ----------
    sample
        Sorted measurements; of a star seen twice on a visit the first counts.
    min_arcmin, max_arcmin
        Range of the distance between the stars' mean positions, the upper end left out.
    max_n_pair
        At most about so many pairs are measured; of more stars, every k-th is paired with all.
    """
    position, seen = _arrange(sample)
    scatter, deviation = [np.empty(0)], [np.empty(0)]
    first_star, deviation_star = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for first, second in _pairs(sample, min_arcmin, max_arcmin, max_n_pair):
        both = seen[first] & seen[second]
        a, b = position[first], position[second]
        separation = angular_separation_deg(a[..., 0], a[..., 1], b[..., 0], b[..., 1])
        n = both.sum(axis=1)
        rows = np.flatnonzero(n >= _MIN_FOR_RMS)
        values = np.where(both, separation, np.nan)[rows] * MAS_PER_DEGREE
        scatter.append(np.nanstd(values, axis=1, ddof=1))
        first_star.append(first[rows])
        often = values[n[rows] >= _MIN_FOR_MEDIAN]
        apart = np.abs(often - np.nanmedian(often, axis=1, keepdims=True))
        there = np.isfinite(apart)
        deviation.append(apart[there])
        own = first[rows[n[rows] >= _MIN_FOR_MEDIAN]]
        deviation_star.append(np.repeat(own, there.sum(axis=1)))
    return PairScatter(
        np.concatenate(scatter),
        np.concatenate(first_star),
        np.concatenate(deviation),
        np.concatenate(deviation_star),
    )


def _arrange(sample: StarSample) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Lay positions out by star and visit: ``(n_star, n_visit, 2)`` and where there is one."""
    visits, column = np.unique(sample.visit, return_inverse=True)
    position = np.zeros((sample.n_star, len(visits), 2))
    seen = np.zeros((sample.n_star, len(visits)), bool)
    usable = np.isfinite(sample.ra_deg) & np.isfinite(sample.dec_deg)
    # Backwards, so that of two measurements on a visit the first stays.
    rows = np.flatnonzero(usable)[::-1]
    place = (sample.star[rows], column.ravel()[rows])
    position[place] = np.stack([sample.ra_deg, sample.dec_deg], axis=1)[rows]
    seen[place] = True
    return position, seen


def _pairs(
    sample: StarSample, min_arcmin: float, max_arcmin: float, max_n_pair: int
) -> Iterator[tuple[IntArray, IntArray]]:
    """Give the pairs of stars in a ring of distances, some stars at a time."""
    if sample.n_star < _MIN_FOR_RMS:
        return
    ra, dec = mean_positions(sample)
    vectors = unit_vectors(ra, dec)
    tree = cKDTree(vectors)
    reach = 2.0 * np.sin(0.5 * np.deg2rad(max_arcmin / 60.0)) * (1.0 + 1e-9)
    expected = tree.count_neighbors(tree, reach) // 2
    step = max(1, -(-expected // max_n_pair))
    centres = np.arange(0, sample.n_star, step)
    for start in range(0, len(centres), _STARS_AT_ONCE):
        own = centres[start : start + _STARS_AT_ONCE]
        near = tree.query_ball_point(vectors[own], reach, return_sorted=True)
        first = np.repeat(own, [len(found) for found in near])
        second = np.concatenate([np.asarray(found, np.int64) for found in near])
        distance = 60.0 * angular_separation_deg(ra[first], dec[first], ra[second], dec[second])
        is_centre = (second % step) == 0
        once = np.where(is_centre, second > first, second != first)
        inside = once & (distance >= min_arcmin) & (distance < max_arcmin)
        if inside.any():
            yield first[inside].astype(np.int64), second[inside]


def measure_band_offsets(sample: StarSample, *, band: int, reference_band: int) -> FloatArray:
    """Measure how the distances of stars between a visit and one of the reference band scatter.

    Parameters
    ----------
    sample
        Sorted measurements in several bands.
    band, reference_band
        Numbers of the two bands.

    Returns
    -------
    rms_mas
        Sample standard deviation of the distances, one a pair of visits that share two stars.
    """
    position, seen = _arrange(sample)
    visits = np.unique(sample.visit)
    of_band = [visits.searchsorted(np.unique(sample.visit[sample.band == b]))
               for b in (band, reference_band)]  # fmt: skip
    found = []
    for reference in of_band[1]:
        for column in of_band[0]:
            both = np.flatnonzero(seen[:, reference] & seen[:, column])
            if column == reference or len(both) < _MIN_FOR_RMS:
                continue
            a, b = position[both, reference].T, position[both, column].T
            distance = angular_separation_deg(a[0], a[1], b[0], b[1])
            found.append(float(np.std(distance, ddof=1)) * MAS_PER_DEGREE)
    return np.asarray(found, dtype=np.float64)
