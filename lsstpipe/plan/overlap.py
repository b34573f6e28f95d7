"""Which raws may overlap which patches: candidates from a tree, then an exact test of each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.region import edge_poles
from lsstpipe.geometry.sphere import unit_vectors
from lsstpipe.plan._overlap_kernel import share_point
from lsstpipe.plan.rows import IndexArray

FloatArray = npt.NDArray[np.float64]


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
    keep = share_point(vectors, polygon, centres, circle, radius)
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

    Corners; poles of the edges; poles of the two planes through an edge's pole and either of its
    corners.
    """
    poles = edge_poles(polygons)
    poles /= np.linalg.norm(poles, axis=-1, keepdims=True)
    ends = np.roll(polygons, -1, axis=1)
    return np.stack([polygons, poles, np.cross(poles, polygons), np.cross(ends, poles)], axis=1)
