"""The tracts of Rubin's rings sky map with 120 rings, which HSC and DC2 are processed on."""

from __future__ import annotations

import math

import numpy as np

Area = tuple[float, float, float, float]
"""Range of right ascension, then of declination, degrees."""

_N_RINGS = 120
_RING_DEG = 180.0 / (_N_RINGS + 1)


def _ring_sizes() -> list[int]:
    """Give the number of tracts of each ring of Rubin's rings sky map, from the south."""
    sizes = []
    for ring in range(_N_RINGS):
        low = _RING_DEG * (ring + 0.5) - 90.0
        nearest = min(abs(low), abs(low + _RING_DEG))
        around = 360.0 * math.cos(math.radians(nearest))
        sizes.append(int(around / _RING_DEG) + 1)
    return sizes


def tract_centre(number: int) -> tuple[float, float]:
    """Give the middle of a tract.

    Parameters
    ----------
    number
        Its number in the rings sky map; the caps, 0 and the last, have none here.

    Returns
    -------
    ra_deg, dec_deg
        Right ascension and declination, degrees.
    """
    place = number - 1  # tract 0 is the cap around the south pole
    for ring, size in enumerate(_ring_sizes()):
        if place < size:
            return 360.0 * place / size, _RING_DEG * (ring + 1) - 90.0
        place -= size
    raise ValueError(f"the rings sky map has no tract {number} between its caps")


def touched_tracts(fields: tuple[Area, ...]) -> list[tuple[float, float]]:
    """Give the middles of the tracts that areas touch.

    Parameters
    ----------
    fields
        The areas.

    Returns
    -------
    centres
        Right ascension and declination of each tract, degrees, in the order of their numbers.
    """
    sizes = np.array(_ring_sizes())
    ring = np.repeat(np.arange(_N_RINGS), sizes)
    place = np.arange(len(ring)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    ra, dec = 360.0 * place / sizes[ring], _RING_DEG * (ring + 1) - 90.0
    half_dec, half_ra = _RING_DEG / 2, _RING_DEG / 2 / np.cos(np.deg2rad(dec))
    touched = np.zeros(len(ring), dtype=np.bool_)
    for low_ra, high_ra, low_dec, high_dec in fields:
        is_near = (low_ra - half_ra <= ra) & (ra <= high_ra + half_ra)
        touched |= is_near & (low_dec - half_dec <= dec) & (dec <= high_dec + half_dec)
    return list(zip(ra[touched].tolist(), dec[touched].tolist(), strict=True))
