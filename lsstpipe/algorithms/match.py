"""Pair positions: a frame of unknown pointing with a catalogue, two catalogues, many visits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from lsstpipe.geometry.sphere import sky_positions, unit_vectors

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairMatch:
    """One-to-one pairs of two lists of positions, by rising index of the first."""

    first: IntArray
    """Index into the first list."""
    second: IntArray
    """Index into the second list."""
    separation: FloatArray
    """Distance within each pair, in the unit of the radius."""


@dataclass(frozen=True)
class AssociationConfig:
    """How detections of many visits become stars."""

    match_radius_arcsec: float = 1.0
    """Detections closer than this belong together."""
    isolation_radius_arcsec: float = 2.0
    """A star with a neighbour closer than this is left out."""
    min_visits: int = 2
    """A star is kept, and counts as a neighbour, when seen in at least so many visits."""


@dataclass(frozen=True)
class Association:
    """Isolated stars, each made of at most one detection a visit."""

    star: IntArray
    """Number of the star of each detection; -1 where it belongs to none."""
    ra_deg: FloatArray
    """Mean right ascension of each star, degrees; stars are numbered by rising declination."""
    dec_deg: FloatArray
    """Mean declination of each star, degrees."""
    n_visits: IntArray
    """Count of visits that see each star."""


def match_plane(first: FloatArray, second: FloatArray, radius: float) -> PairMatch:
    """Pair points that are each other's nearest neighbour.

    Parameters
    ----------
    first, second
        Coordinates, shapes ``(n, k)`` and ``(m, k)``; points that are not finite pair with none.
    radius
        Largest distance of a pair, same unit.

    Returns
    -------
    pairs
        Mutual nearest neighbours.
    """
    index_first = np.flatnonzero(np.isfinite(first).all(axis=1))
    index_second = np.flatnonzero(np.isfinite(second).all(axis=1))
    if len(index_first) == 0 or len(index_second) == 0:
        empty = np.empty(0, dtype=np.int64)
        return PairMatch(empty, empty, np.empty(0))
    points, others = first[index_first], second[index_second]
    # The bound of a query excludes itself. Far points cost most to search for, and pair with none.
    bound = np.nextafter(radius, np.inf)
    distance, forward = _plain_tree(others).query(points, distance_upper_bound=bound)
    near = np.flatnonzero(np.isfinite(distance))
    _, backward = _plain_tree(points).query(others[forward[near]], distance_upper_bound=bound)
    mutual = near[backward == near]
    return PairMatch(
        index_first[mutual].astype(np.int64),
        index_second[forward[mutual]].astype(np.int64),
        np.asarray(distance[mutual], dtype=np.float64),
    )


def _plain_tree(points: FloatArray) -> cKDTree:
    """Make a tree that is quick to make, for few queries."""
    return cKDTree(points, balanced_tree=False, compact_nodes=False)


def match_sky(
    first_deg: tuple[FloatArray, FloatArray],
    second_deg: tuple[FloatArray, FloatArray],
    *,
    radius_arcsec: float,
) -> PairMatch:
    """Pair sky positions that are each other's nearest neighbour.

    Parameters
    ----------
    first_deg, second_deg
        Right ascensions and declinations, degrees; positions with NaN pair with none.
    radius_arcsec
        Largest separation of a pair, arcsec.

    Returns
    -------
    pairs
        Mutual nearest neighbours, separations in arcsec.
    """
    pairs = match_plane(
        unit_vectors(*first_deg), unit_vectors(*second_deg), arcsec_to_chord(radius_arcsec)
    )
    separation = 2.0 * np.rad2deg(np.arcsin(np.minimum(pairs.separation / 2.0, 1.0))) * 3600.0
    return PairMatch(pairs.first, pairs.second, separation)


def arcsec_to_chord(angle_arcsec: float) -> float:
    """Return the chord of the unit sphere that an angle subtends.

    Parameters
    ----------
    angle_arcsec
        Angle, arcsec.

    Returns
    -------
    chord
        Distance between the two unit vectors.
    """
    return float(2.0 * np.sin(np.deg2rad(angle_arcsec / 3600.0) / 2.0))


def associate(
    *, visit: IntArray, ra_deg: FloatArray, dec_deg: FloatArray, config: AssociationConfig
) -> Association:
    """Join the detections of many visits into isolated stars.

    Detections closer than the match radius are linked; a linked group is a star unless a visit
    contributes two detections to it (a blend) or another group lies within the isolation radius.
    The result does not depend on the order of the detections, not even in the last bit.

    Parameters
    ----------
    visit
        Visit of each detection, shape ``(n,)``.
    ra_deg, dec_deg
        Sky position of each detection, degrees; detections with NaN belong to no star.
    config
        Radii and the least number of visits.

    Returns
    -------
    association
        The star of each detection, and the stars.
    """
    star = np.full(len(visit), -1, dtype=np.int64)
    finite = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    # One canonical order makes sums and numbers independent of the order of the input.
    order = finite[np.lexsort((ra_deg[finite], dec_deg[finite], visit[finite]))]
    if len(order) == 0:
        return Association(star, np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
    vectors = unit_vectors(ra_deg[order], dec_deg[order])
    group = _linked_groups(vectors, arcsec_to_chord(config.match_radius_arcsec))
    n_groups = int(group.max()) + 1
    n_detections = np.bincount(group, minlength=n_groups)
    pairs = np.unique(np.stack([group, visit[order]], axis=1), axis=0)
    n_visits = np.bincount(pairs[:, 0], minlength=n_groups)
    total = np.stack(
        [np.bincount(group, weights=vectors[:, k], minlength=n_groups) for k in range(3)], axis=1
    )
    centre: FloatArray = total / np.linalg.norm(total, axis=1, keepdims=True)
    seen = n_visits >= config.min_visits
    crowded = _has_neighbour(centre, seen, arcsec_to_chord(config.isolation_radius_arcsec))
    kept = np.flatnonzero(seen & ~crowded & (n_detections == n_visits))
    star_ra, star_dec = sky_positions(centre[kept])
    rank = np.lexsort((star_ra, star_dec))
    number = np.full(n_groups, -1, dtype=np.int64)
    number[kept[rank]] = np.arange(len(kept))
    star[order] = number[group]
    return Association(star, star_ra[rank], star_dec[rank], n_visits[kept[rank]].astype(np.int64))


def _linked_groups(vectors: FloatArray, chord: float) -> IntArray:
    links = cKDTree(vectors).query_pairs(chord, output_type="ndarray")
    n = len(vectors)
    graph = coo_matrix((np.ones(len(links), dtype=np.int8), (links[:, 0], links[:, 1])), (n, n))
    labels: IntArray = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels


def _has_neighbour(
    centre: FloatArray, seen: npt.NDArray[np.bool_], chord: float
) -> npt.NDArray[np.bool_]:
    crowded = np.zeros(len(centre), dtype=bool)
    index = np.flatnonzero(seen)
    if len(index) > 0:
        close = cKDTree(centre[index]).query_pairs(chord, output_type="ndarray")
        crowded[index[close.ravel()]] = True
    return crowded
