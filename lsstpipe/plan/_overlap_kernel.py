"""Compiled test of pairs of a circle and a polygon on the sphere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@njit(cache=True)
def share_point(
    vectors: FloatArray,
    polygon: IndexArray,
    centres: FloatArray,
    circle: IndexArray,
    radius: float,
) -> BoolArray:
    """Tell of each pair whether circle and polygon share a point.

    Parameters
    ----------
    vectors
        Of each polygon its corners, the poles of its edges, and the poles of the two planes through
        an edge's pole and either of its corners, shape ``(m, 4, n_corners, 3)``.
    polygon
        Number of the polygon of each pair, shape ``(n,)``.
    centres
        Unit vectors of the circles, shape ``(k, 3)``.
    circle
        Number of the circle of each pair, shape ``(n,)``.
    radius
        Of all circles, radians, less than pi / 2.
    """
    shared = np.zeros(len(polygon), np.bool_)
    near, beside = np.cos(radius), np.sin(radius)
    for n in range(len(polygon)):
        corner, pole, after_start, before_end = vectors[polygon[n]]
        x, y, z = centres[circle[n]]
        is_inside = True
        for k in range(len(corner)):
            if corner[k, 0] * x + corner[k, 1] * y + corner[k, 2] * z >= near:
                shared[n] = True
                break
            height = pole[k, 0] * x + pole[k, 1] * y + pole[k, 2] * z
            is_inside &= height >= 0.0
            # The nearest point of an edge is between its corners where the centre's foot on the
            # great circle is: on the positive side of both planes through a corner and the pole.
            if abs(height) <= beside:
                after = after_start[k, 0] * x + after_start[k, 1] * y + after_start[k, 2] * z
                before = before_end[k, 0] * x + before_end[k, 1] * y + before_end[k, 2] * z
                if after >= 0.0 and before >= 0.0:
                    shared[n] = True
                    break
        else:
            shared[n] = is_inside
    return shared
