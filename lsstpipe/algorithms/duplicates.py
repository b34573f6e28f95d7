"""Entries of a catalogue that are the same star."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from lsstpipe.algorithms.match import arcsec_to_chord
from lsstpipe.geometry.sphere import unit_vectors

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def find_duplicates(
    ra_deg: FloatArray, dec_deg: FloatArray, rank: FloatArray, *, radius_arcsec: float
) -> IntArray:
    """Find for each entry of a catalogue the one that stands for its star.

    Entries closer than the radius are one star, and so are those that a chain of such pairs joins.

    Parameters
    ----------
    ra_deg, dec_deg
        Positions, degrees, shape ``(n,)``.
    rank
        The entry of the lowest rank stands for the star, such as that of the smallest error; NaN
        counts as the highest. Equal ranks go by position.
    radius_arcsec
        Largest distance of two entries, arcsec; 0 joins those of one position.

    Returns
    -------
    keeper
        Row number of the entry that stands for each, shape ``(n,)``.
    """
    n = len(ra_deg)
    if n == 0:
        return np.empty(0, dtype=np.int64)
    chord = max(arcsec_to_chord(radius_arcsec), 1e-14)
    links = cKDTree(unit_vectors(ra_deg, dec_deg)).query_pairs(chord, output_type="ndarray")
    graph = coo_matrix((np.ones(len(links), dtype=np.int8), (links[:, 0], links[:, 1])), (n, n))
    group = connected_components(graph, directed=False)[1]
    order = np.lexsort((ra_deg, dec_deg, np.where(np.isfinite(rank), rank, np.inf), group))
    first = np.concatenate([[True], np.diff(group[order]) != 0])
    keeper = order[first][group[order[first]].argsort()][group]
    return np.asarray(keeper, dtype=np.int64)
