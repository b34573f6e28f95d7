"""Which raws may overlap which patches: candidates from a tree, then an exact test of each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.region import edge_poles
from lsstpipe.geometry.sphere import unit_vectors
from lsstpipe.plan.rows import IndexArray

FloatArray = npt.NDArray[np.float64]

_BLOCK = 100_000
"""Pairs that are tested at once: what bounds the memory."""


def find_overlaps(
    polygons: FloatArray, ra_deg: FloatArray, dec_deg: FloatArray, radius_deg: float
) -> tuple[IndexArray, IndexArray]:
    """Find the pairs of a circle and a polygon that share a point.

    The same pairs as `lsstpipe.geometry.region.polygons_overlap_circles` finds by testing all
    against all.

    Parameters
    ----------
    polygons
        Unit vectors, counter-clockwise, shape ``(n, n_corners, 3)``.
    ra_deg, dec_deg
        Centres of the circles, degrees, shape ``(m,)``.
    radius_deg
        Radius of all circles, degrees, less than 90.

    Returns
    -------
    circles, polygons
        Numbers of the pairs, sorted by circle, then polygon.
    """
    if len(polygons) == 0 or len(ra_deg) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    centres = unit_vectors(ra_deg, dec_deg)
    radius = float(np.deg2rad(radius_deg))
    circle, polygon = _candidates(polygons, centres, radius)
    vectors = _test_vectors(polygons)
    keep = np.empty(len(circle), dtype=np.bool_)
    for start in range(0, len(circle), _BLOCK):
        block = slice(start, start + _BLOCK)
        keep[block] = _overlap(vectors[polygon[block]], centres[circle[block]], radius)
    circle, polygon = circle[keep], polygon[keep]
    order = np.lexsort((polygon, circle))
    return circle[order], polygon[order]


def _candidates(
    polygons: FloatArray, centres: FloatArray, radius: float
) -> tuple[IndexArray, IndexArray]:
    """Find the pairs whose circles, drawn around polygons too, overlap."""
    from scipy.spatial import KDTree

    middles = polygons.sum(axis=1)
    middles /= np.linalg.norm(middles, axis=-1, keepdims=True)
    chords = np.linalg.norm(polygons - middles[:, None], axis=-1).max()
    # The longest chord serves all polygons: patches of a sky map differ little in size.
    reach = 2.0 * np.arcsin(min(1.0, float(chords) / 2.0)) + radius
    chord = 2.0 * np.sin(min(np.pi, reach) / 2.0) * (1.0 + 1e-9)
    found = KDTree(centres).sparse_distance_matrix(KDTree(middles), chord, output_type="ndarray")
    return found["i"].astype(np.int64), found["j"].astype(np.int64)


def _test_vectors(polygons: FloatArray) -> FloatArray:
    """Give the vectors whose products with a centre decide: shape ``(n, 4, n_corners, 3)``.

    Poles of the edges; poles of the two planes through an edge's pole and either of its corners;
    corners.
    """
    poles = edge_poles(polygons)
    poles /= np.linalg.norm(poles, axis=-1, keepdims=True)
    ends = np.roll(polygons, -1, axis=1)
    return np.stack([poles, np.cross(poles, polygons), np.cross(ends, poles), polygons], axis=1)


def _overlap(vectors: FloatArray, centres: FloatArray, radius: float) -> npt.NDArray[np.bool_]:
    """Test pairs of a polygon and a circle: shapes ``(n, 4, n_corners, 3)`` and ``(n, 3)``."""
    products = np.einsum("nkci,ni->nkc", vectors, centres)
    height, after_start, before_end, cosine = np.moveaxis(products, 1, 0)
    inside = np.all(height >= 0.0, axis=1)
    near_corner = np.any(cosine >= np.cos(radius), axis=1)
    # The nearest point of an edge is between its corners where the centre's foot on the great
    # circle is: on the positive side of both planes through a corner and the pole.
    is_beside = (after_start >= 0.0) & (before_end >= 0.0)
    near_edge = np.any(is_beside & (np.abs(height) <= np.sin(radius)), axis=1)
    return np.asarray(inside | near_corner | near_edge, dtype=np.bool_)
