"""What a person writes to name a part of the sky: ``CIRCLE 286.0 36.6 0.5``.

The words are those of the parameter POS of the Virtual Observatory (SIA 2.0, section 2.1.1):

::

    POINT ra dec
    CIRCLE ra dec radius
    POLYGON ra1 dec1 ra2 dec2 ra3 dec3 ...     convex, in either sense

all in degrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.errors import UserError
from lsstpipe.geometry.region import (
    polygons_from_sky,
    polygons_overlap,
    polygons_overlap_circles,
)

_FORMS = "POINT ra dec, CIRCLE ra dec radius and POLYGON ra1 dec1 ra2 dec2 ra3 dec3 ..."


@dataclass(frozen=True, slots=True)
class Position:
    """A part of the sky.

    Attributes
    ----------
    ra_deg, dec_deg
        Corners of a polygon, or the centre of a circle, degrees.
    radius_deg
        Radius of the circle, degrees; 0 for a point, and for a polygon without use.
    """

    ra_deg: tuple[float, ...]
    dec_deg: tuple[float, ...]
    radius_deg: float = 0.0

    def overlaps(self, polygons: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Tell which of many polygons share a point with it.

        Parameters
        ----------
        polygons
            Unit vectors as of `polygons_from_sky`, shape ``(n, n_corners, 3)``.

        Returns
        -------
        overlap
            Shape ``(n,)``.
        """
        if len(self.ra_deg) == 1:
            circle = (self.ra_deg, self.dec_deg, self.radius_deg)
            return polygons_overlap_circles(polygons, *circle)[:, 0]
        own = polygons_from_sky(self.ra_deg, self.dec_deg)[None]
        return polygons_overlap(polygons, own)[:, 0]


def parse_position(text: str) -> Position:
    """Read a part of the sky.

    Parameters
    ----------
    text
        As the module describes; words may be written in lower case.

    Raises
    ------
    UserError
        If it cannot be read, or is no part of the sky.
    """
    word, *rest = text.split() or [""]
    try:
        values = [float(value) for value in rest]
    except ValueError:
        raise _refusal(text) from None
    counts = {"POINT": len(values) == 2, "CIRCLE": len(values) == 3}
    counts["POLYGON"] = len(values) >= 6 and len(values) % 2 == 0
    word = word.upper()
    if not (counts.get(word, False) and all(math.isfinite(value) for value in values)):
        raise _refusal(text)
    if word == "POLYGON":
        return _polygon(text, tuple(values[::2]), tuple(values[1::2]))
    radius = values[2] if word == "CIRCLE" else 0.0
    if not (-90 <= values[1] <= 90 and 0 <= radius < 90):
        raise UserError(
            f"'{text}' is no part of the sky: the declination must be from -90 to 90 and the "
            "radius from 0 to less than 90 degrees."
        )
    return Position((values[0],), (values[1],), radius)


def _polygon(text: str, ra_deg: tuple[float, ...], dec_deg: tuple[float, ...]) -> Position:
    reason = "a declination is beyond the pole" if max(map(abs, dec_deg)) > 90 else ""
    try:
        polygons_from_sky(ra_deg, dec_deg)
    except ValueError as error:
        reason = reason or str(error)
    if reason:
        raise UserError(f"'{text}' is no polygon that can be searched: {reason}.")
    return Position(ra_deg, dec_deg)


def _refusal(text: str) -> UserError:
    return UserError(f"'{text}' does not name a part of the sky; allowed are {_FORMS}, in degrees.")
