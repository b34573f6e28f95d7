"""The hierarchical triangular mesh: which part of the sky a numbered triangle covers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.sphere import sky_positions

FloatArray = npt.NDArray[np.float64]

_CORNERS = np.array(
    [[0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, -1]], dtype=np.float64
)
_ROOTS = (
    (1, 5, 2), (2, 5, 3), (3, 5, 4), (4, 5, 1), (1, 0, 4), (4, 0, 3), (3, 0, 2), (2, 0, 1),
)  # fmt: skip


def trixel_range(level: int) -> range:
    """Give the numbers of all triangles of a level.

    Parameters
    ----------
    level
        How often the eight octants are divided.
    """
    return range(8 << 2 * level, 16 << 2 * level)


def trixel_corners(index: int) -> FloatArray:
    """Find the corners of a triangle (Szalay et al. 2005, MSR-TR-2005-123, section 3).

    Parameters
    ----------
    index
        Its number; the level follows from it.

    Returns
    -------
    corners
        Unit vectors, shape ``(3, 3)``.

    Raises
    ------
    ValueError
        If there is no triangle of that number.
    """
    n_bits = int(index).bit_length()
    if n_bits < 4 or n_bits % 2:
        raise ValueError(f"There is no triangle {index}; numbers begin with the octant, 8 to 15.")
    corners = _CORNERS[list(_ROOTS[(index >> n_bits - 4) - 8])]
    for shift in range(n_bits - 6, -1, -2):
        a, b, c = corners
        middles = np.stack([b + c, a + c, a + b])
        middles /= np.linalg.norm(middles, axis=1, keepdims=True)
        part = index >> shift & 3
        first = np.stack([a, middles[2], middles[1]])
        second = np.stack([b, middles[0], middles[2]])
        third = np.stack([c, middles[1], middles[0]])
        corners = (first, second, third, middles)[part]
    return corners


def trixel_circle(index: int) -> tuple[float, float, float]:
    """Give a circle that holds a triangle.

    Parameters
    ----------
    index
        Its number.

    Returns
    -------
    ra_deg, dec_deg, radius_deg
        Centre and radius, degrees.
    """
    corners = trixel_corners(index)
    centre = corners.sum(axis=0)
    centre /= np.linalg.norm(centre)
    radius = np.rad2deg(np.arccos(np.clip(corners @ centre, -1.0, 1.0)).max())
    ra, dec = sky_positions(centre)
    return float(ra), float(dec), float(radius)
