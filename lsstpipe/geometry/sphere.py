"""Points on the celestial sphere: separations, unit vectors and the gnomonic projection."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def unit_vectors(ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> FloatArray:
    """Return the unit vectors of sky positions.

    Parameters
    ----------
    ra_deg, dec_deg
        Right ascension and declination, degrees, of one shape.

    Returns
    -------
    vectors
        Cartesian components on the last axis, shape ``(..., 3)``.
    """
    ra = np.deg2rad(np.asarray(ra_deg, dtype=np.float64))
    dec = np.deg2rad(np.asarray(dec_deg, dtype=np.float64))
    cos_dec = np.cos(dec)
    return np.stack([cos_dec * np.cos(ra), cos_dec * np.sin(ra), np.sin(dec)], axis=-1)


def sky_positions(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the sky positions of vectors, which need not be of unit length.

    Parameters
    ----------
    vectors
        Cartesian components on the last axis, shape ``(..., 3)``.

    Returns
    -------
    ra_deg, dec_deg
        Right ascension in [0, 360) and declination, degrees.
    """
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    ra_deg = wrap_degrees(np.rad2deg(np.arctan2(y, x)))
    return ra_deg, np.rad2deg(np.arctan2(z, np.hypot(x, y)))


def wrap_degrees(angle_deg: npt.ArrayLike) -> FloatArray:
    """Bring angles into [0, 360).

    Parameters
    ----------
    angle_deg
        Angles, degrees.

    Returns
    -------
    wrapped_deg
        The same angles in [0, 360), degrees.
    """
    wrapped = np.mod(np.asarray(angle_deg, dtype=np.float64), 360.0)
    # The remainder of a tiny negative angle rounds to 360 itself, which is outside the range.
    return np.asarray(np.where(wrapped >= 360.0, 0.0, wrapped), dtype=np.float64)


def angular_separation_deg(
    ra_deg: npt.ArrayLike,
    dec_deg: npt.ArrayLike,
    other_ra_deg: npt.ArrayLike,
    other_dec_deg: npt.ArrayLike,
) -> FloatArray:
    """Return great-circle distances, accurate at every separation (Vincenty's formula).

    Parameters
    ----------
    ra_deg, dec_deg
        First positions, degrees.
    other_ra_deg, other_dec_deg
        Second positions, degrees; broadcast against the first.

    Returns
    -------
    separation_deg
        Separations in [0, 180], degrees.
    """
    dec = np.deg2rad(np.asarray(dec_deg, dtype=np.float64))
    other_dec = np.deg2rad(np.asarray(other_dec_deg, dtype=np.float64))
    delta = np.deg2rad(
        np.asarray(other_ra_deg, dtype=np.float64) - np.asarray(ra_deg, dtype=np.float64)
    )
    sine = np.hypot(
        np.cos(other_dec) * np.sin(delta),
        np.cos(dec) * np.sin(other_dec) - np.sin(dec) * np.cos(other_dec) * np.cos(delta),
    )
    cosine = np.sin(dec) * np.sin(other_dec) + np.cos(dec) * np.cos(other_dec) * np.cos(delta)
    return np.asarray(np.rad2deg(np.arctan2(sine, cosine)), dtype=np.float64)


def gnomonic_project(
    ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike, *, centre_deg: tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    """Project sky positions on the plane that touches the sphere at a centre.

    The standard coordinates of Calabretta & Greisen (2002), section 5.1.3 (TAN).

    Parameters
    ----------
    ra_deg, dec_deg
        Sky positions, degrees.
    centre_deg
        Right ascension and declination of the tangent point, degrees.

    Returns
    -------
    xi_deg, eta_deg
        Plane coordinates towards east and north, degrees; NaN 90 degrees or more from the centre,
        where the projection does not exist.
    """
    delta = np.deg2rad(np.asarray(ra_deg, dtype=np.float64) - centre_deg[0])
    dec = np.deg2rad(np.asarray(dec_deg, dtype=np.float64))
    sin_dec0, cos_dec0 = np.sin(np.deg2rad(centre_deg[1])), np.cos(np.deg2rad(centre_deg[1]))
    sin_dec, cos_dec, cos_delta = np.sin(dec), np.cos(dec), np.cos(delta)
    depth = sin_dec * sin_dec0 + cos_dec * cos_dec0 * cos_delta
    depth = np.where(depth > 0.0, depth, np.nan)
    xi = np.rad2deg(cos_dec * np.sin(delta) / depth)
    eta = np.rad2deg((sin_dec * cos_dec0 - cos_dec * sin_dec0 * cos_delta) / depth)
    return np.asarray(xi, dtype=np.float64), np.asarray(eta, dtype=np.float64)


def gnomonic_deproject(
    xi_deg: npt.ArrayLike, eta_deg: npt.ArrayLike, *, centre_deg: tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    """Return the sky positions of points of a tangent plane.

    Parameters
    ----------
    xi_deg, eta_deg
        Plane coordinates towards east and north, degrees.
    centre_deg
        Right ascension and declination of the tangent point, degrees.

    Returns
    -------
    ra_deg, dec_deg
        Right ascension in [0, 360) and declination, degrees.
    """
    xi = np.deg2rad(np.asarray(xi_deg, dtype=np.float64))
    eta = np.deg2rad(np.asarray(eta_deg, dtype=np.float64))
    sin_dec0, cos_dec0 = np.sin(np.deg2rad(centre_deg[1])), np.cos(np.deg2rad(centre_deg[1]))
    along = cos_dec0 - eta * sin_dec0
    ra_deg = wrap_degrees(centre_deg[0] + np.rad2deg(np.arctan2(xi, along)))
    dec_deg = np.rad2deg(np.arctan2(sin_dec0 + eta * cos_dec0, np.hypot(xi, along)))
    return ra_deg, np.asarray(dec_deg, dtype=np.float64)
