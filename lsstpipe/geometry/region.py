"""Convex regions of the sky: polygons of great circles, and circles.

A polygon is the array of the unit vectors of its corners, counter-clockwise as seen from outside
the sphere, all within 45 degrees of their mean. Many polygons with the same number of corners make
one array, so that tests of all against all are array operations.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.sphere import unit_vectors

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Corners that two polygons share must count as touching whatever the rounding: 1e-13 rad is 2e-8
# arcsec.
_TOLERANCE = 1e-13
_MAX_RADIUS_DEG = 45.0
_BLOCK = 4096  # polygons that are compared with all others at a time
_PAIRS = 32768  # pairs that are compared at a time: some 10 MB


def polygons_from_sky(ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> FloatArray:
    """Make convex polygons of the sky positions of their corners.

    Parameters
    ----------
    ra_deg, dec_deg
        Corners in either sense of rotation, degrees, shape ``(..., n_corners)``, at least 3.

    Returns
    -------
    polygons
        Unit vectors, counter-clockwise, shape ``(..., n_corners, 3)``.

    Raises
    ------
    ValueError
        If a polygon is not convex, has no area, or reaches farther than 45 degrees.
    """
    vectors = unit_vectors(ra_deg, dec_deg)
    if vectors.ndim < 2 or vectors.shape[-2] < 3:
        raise ValueError("a polygon needs at least 3 corners")
    poles, centres = edge_poles(vectors), _centres(vectors)
    clockwise = np.einsum("...ij,...j->...", poles, centres) < 0.0
    if np.any(clockwise):
        vectors = np.where(clockwise[..., None, None], vectors[..., ::-1, :], vectors)
        poles = edge_poles(vectors)
    heights = poles @ np.swapaxes(vectors, -1, -2)
    if not np.all(heights > -_TOLERANCE) or not np.all(heights.max(axis=-1) > _TOLERANCE):
        raise ValueError("the corners do not make a convex polygon")
    nearest = np.einsum("...ij,...j->...i", vectors, centres)
    if np.any(nearest < np.cos(np.deg2rad(_MAX_RADIUS_DEG))):
        raise ValueError(f"a corner is farther than {_MAX_RADIUS_DEG} degrees from the centre")
    return np.ascontiguousarray(vectors)


def edge_poles(polygons: FloatArray) -> FloatArray:
    """Return the poles of the great circles through the edges, pointing inward.

    Parameters
    ----------
    polygons
        Unit vectors, counter-clockwise, shape ``(..., n_corners, 3)``.

    Returns
    -------
    poles
        Not normalised, shape ``(..., n_corners, 3)``.
    """
    poles = np.cross(polygons, np.roll(polygons, -1, axis=-2))
    return np.asarray(poles, dtype=np.float64)


def polygon_contains(
    polygon: FloatArray, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike
) -> BoolArray:
    """Find the sky positions inside one polygon, its edge included.

    Parameters
    ----------
    polygon
        Unit vectors, counter-clockwise, shape ``(n_corners, 3)``.
    ra_deg, dec_deg
        Positions, degrees, one shape.

    Returns
    -------
    inside
        True where the position is inside.
    """
    heights = unit_vectors(ra_deg, dec_deg) @ edge_poles(polygon).T
    return np.asarray(np.all(heights >= -_TOLERANCE, axis=-1))


def polygons_overlap(first: FloatArray, second: FloatArray) -> BoolArray:
    """Test every polygon of one array against every polygon of another.

    Two convex polygons in one hemisphere are apart if and only if the great circle of an edge of
    one of them separates them: in the gnomonic projection this is the separating-axis theorem of
    the plane. Polygons that reach 45 degrees at most are in one hemisphere, or their centres are
    more than 90 degrees apart and they cannot meet.

    Parameters
    ----------
    first, second
        Unit vectors, counter-clockwise, shapes ``(n, n_corners, 3)`` and ``(m, m_corners, 3)``.

    Returns
    -------
    overlap
        Shape ``(n, m)``: True where the two share a point, so also where they only touch.
    """
    near = _centres(first) @ _centres(second).T >= 0.0
    apart = _separated_by_edges(first, second) | _separated_by_edges(second, first).T
    return np.asarray(near & ~apart)


def pairs_overlap(
    first: FloatArray, second: FloatArray
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Find all pairs of a polygon of one array and a polygon of another that share a point.

    Their bounding circles are compared first, all against all, so that `polygons_overlap` need
    look at few pairs.

    Parameters
    ----------
    first, second
        Unit vectors, counter-clockwise, shapes ``(n, n_corners, 3)`` and ``(m, m_corners, 3)``.

    Returns
    -------
    left, right
        Numbers of the polygons of each pair, shape ``(n_pairs,)``, sorted.
    """
    if not (len(first) and len(second)):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    parts: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]] = []
    for start in range(0, len(first), _BLOCK):
        block = first[start : start + _BLOCK]
        left, right = _pairs_near(block, second)
        meet = ~_pairs_separated(block, second, left, right)
        left, right = left[meet], right[meet]
        meet = ~_pairs_separated(second, block, right, left)
        parts.append((left[meet] + start, right[meet]))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def pairs_within(
    first: FloatArray,
    second: FloatArray,
    left: npt.NDArray[np.intp],
    right: npt.NDArray[np.intp],
    margin_deg: float,
) -> BoolArray:
    """Tell of pairs of polygons which are no farther apart than a margin.

    Beyond a corner of a polygon they may be a little farther: no great circle of an edge parts
    them by the margin, but that of another line would.

    Parameters
    ----------
    first, second
        Unit vectors, counter-clockwise, shapes ``(n, n_corners, 3)`` and ``(m, m_corners, 3)``.
    left, right
        Numbers of the polygons of each pair, shape ``(n_pairs,)``.
    margin_deg
        Degrees, less than 45.

    Returns
    -------
    within
        Shape ``(n_pairs,)``.
    """
    depth = float(np.sin(np.deg2rad(margin_deg)))
    apart = _pairs_separated(first, second, left, right, depth)
    return ~(apart | _pairs_separated(second, first, right, left, depth))


def _pairs_near(
    first: FloatArray, second: FloatArray
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Find the pairs whose bounding circles meet, in order."""
    centres, radii = _bounding_circles(first)
    others, other_radii = _bounding_circles(second)
    cosines = centres @ others.T
    # With the largest radius of the first a pair costs one comparison; few pass, mostly rightly.
    reach = np.cos(radii.max() + other_radii) - _TOLERANCE
    near = np.flatnonzero(cosines >= reach)
    left, right = np.divmod(near, len(second))
    is_near = cosines.ravel()[near] >= np.cos(radii[left] + other_radii[right]) - _TOLERANCE
    return left[is_near], right[is_near]


def _bounding_circles(polygons: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give the centres, unit vectors, and the radii, radians, of circles around polygons."""
    centres = _centres(polygons)
    nearest = np.einsum("nij,nj->ni", polygons, centres).min(axis=1)
    return centres, np.arccos(np.clip(nearest, -1.0, 1.0))


def _pairs_separated(
    polygons: FloatArray,
    others: FloatArray,
    own: npt.NDArray[np.intp],
    other: npt.NDArray[np.intp],
    depth: float = 0.0,
) -> BoolArray:
    """Tell for which pairs an edge of the one polygon has the whole other polygon so far outside.

    The depth is the sine of the distance from the great circle of the edge.
    """
    # Pairs along the last axis: products of small matrices take eight times as long.
    poles = edge_poles(polygons)
    if depth:
        poles /= np.linalg.norm(poles, axis=-1, keepdims=True)
    poles = np.ascontiguousarray(poles.transpose(1, 2, 0))
    corners = np.ascontiguousarray(others.transpose(1, 2, 0))
    separated = np.zeros(len(own), np.bool_)
    for start in range(0, len(own), _PAIRS):
        pairs = slice(start, start + _PAIRS)
        edges, points = poles.take(own[pairs], axis=2), corners.take(other[pairs], axis=2)
        heights = np.einsum("ekn,pkn->epn", edges, points)
        separated[pairs] = (heights.max(axis=1) < -depth - _TOLERANCE).any(axis=0)
    return separated


def _centres(polygons: FloatArray) -> FloatArray:
    total = polygons.sum(axis=-2)
    return np.asarray(total / np.linalg.norm(total, axis=-1, keepdims=True))


def _separated_by_edges(first: FloatArray, second: FloatArray) -> BoolArray:
    """Tell where some edge of the first polygon has the whole second polygon outside."""
    poles = edge_poles(first)
    corners = second.reshape(-1, 3)
    separated = np.zeros((first.shape[0], second.shape[0]), dtype=np.bool_)
    for edge in range(poles.shape[1]):
        heights = (poles[:, edge] @ corners.T).reshape(first.shape[0], *second.shape[:2])
        separated |= heights.max(axis=-1) < -_TOLERANCE
    return separated


def polygons_overlap_circles(
    polygons: FloatArray,
    ra_deg: npt.ArrayLike,
    dec_deg: npt.ArrayLike,
    radius_deg: npt.ArrayLike,
) -> BoolArray:
    """Test every polygon against every circle.

    Parameters
    ----------
    polygons
        Unit vectors, counter-clockwise, shape ``(n, n_corners, 3)``.
    ra_deg, dec_deg
        Centres of the circles, degrees, shape ``(m,)``.
    radius_deg
        Radii, degrees, less than 90, shape ``(m,)`` or a scalar.

    Returns
    -------
    overlap
        Shape ``(n, m)``: True where the two share a point.
    """
    centres = unit_vectors(ra_deg, dec_deg)
    radius = np.deg2rad(np.broadcast_to(np.asarray(radius_deg, np.float64), centres.shape[:-1]))
    poles = edge_poles(polygons)
    poles = poles / np.linalg.norm(poles, axis=-1, keepdims=True)
    heights = poles @ centres.T
    inside = np.all(heights >= 0.0, axis=1)
    near_corner = np.any(_chords(polygons, centres) <= 2.0 * np.sin(radius / 2.0), axis=1)
    # The nearest point of an edge is between its corners where the centre's foot on the great
    # circle is: on the positive side of both planes through a corner and the pole.
    ends = np.roll(polygons, -1, axis=1)
    after_start = np.cross(poles, polygons) @ centres.T >= 0.0
    before_end = np.cross(ends, poles) @ centres.T >= 0.0
    near_edge = np.any(after_start & before_end & (np.abs(heights) <= np.sin(radius)), axis=1)
    return np.asarray(inside | near_corner | near_edge)


def _chords(polygons: FloatArray, centres: FloatArray) -> FloatArray:
    difference = polygons[:, :, None, :] - centres[None, None, :, :]
    return np.asarray(np.linalg.norm(difference, axis=-1), dtype=np.float64)
