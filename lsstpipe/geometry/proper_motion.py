"""Positions of stars at another date."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.sphere import sky_positions, unit_vectors

FloatArray = npt.NDArray[np.float64]

DAYS_PER_YEAR = 365.25
_RADIANS_PER_MAS = np.deg2rad(1.0 / 3.6e6)


def move_stars(
    ra_deg: FloatArray,
    dec_deg: FloatArray,
    motion_mas_per_year: tuple[FloatArray, FloatArray],
    years: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Move stars along great circles by their proper motions.

    Parameters
    ----------
    ra_deg, dec_deg
        Positions, degrees, shape ``(n,)``.
    motion_mas_per_year
        Proper motions along right ascension, times cos(dec), and declination.
    years
        Julian years to move them by; stars with NaN here or in their motions stay.

    Returns
    -------
    ra_deg, dec_deg
        Positions then. Parallax and the change of the motion by perspective are left out.
    """
    ra, dec = np.deg2rad(ra_deg), np.deg2rad(dec_deg)
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    on_ra, on_dec = (
        np.nan_to_num(motion * years * _RADIANS_PER_MAS) for motion in motion_mas_per_year
    )
    vectors = unit_vectors(ra_deg, dec_deg)
    moved_ra, moved_dec = sky_positions(vectors + on_ra[:, None] * east + on_dec[:, None] * north)
    still = (on_ra == 0) & (on_dec == 0)
    return np.where(still, ra_deg, moved_ra), np.where(still, dec_deg, moved_dec)
