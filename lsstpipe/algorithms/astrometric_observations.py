"""What the joint astrometric fit is given: centroids, first maps, catalogue; and how it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.wcs import SkyWcs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AstrometricObservations:
    """Centroids of stars in visits; arrays over observations unless said otherwise."""

    visit: IntArray
    """Number of the visit, from 0."""
    detector: IntArray
    """Number of the detector, from 0."""
    star: IntArray
    """Number of the star, from 0."""
    y: FloatArray
    """Absolute pixel position."""
    x: FloatArray
    """Absolute pixel position."""
    err_pix: FloatArray
    """Error of the centroid on each axis, pixels."""
    wcs: dict[tuple[int, int], SkyWcs]
    """Map of each (visit, detector), solved on its own."""
    reference_ra_deg: FloatArray
    """Catalogue right ascension of each star, shape ``(n_stars,)``, degrees; NaN if unknown."""
    reference_dec_deg: FloatArray
    """Catalogue declination of each star, degrees."""
    reference_err_arcsec: FloatArray
    """Error of the catalogue position on each axis of each star, arcsec."""
    shapes: Mapping[int, tuple[int, int]]
    """Size (y, x) of each detector, pixels."""
    years: FloatArray | None = None
    """Date of each observation from that of the catalogue positions; None for one date."""
    reference_motion: FloatArray | None = None
    """Catalogue proper motion of each star, along ra times cos(dec) and dec, mas/yr, shape
    ``(n_stars, 2)``; NaN where there is none; None for none at all."""

    reference_motion_err: FloatArray | None = None
    """Errors of `reference_motion`, mas/yr, same shape."""

    @property
    def n_stars(self) -> int:
        """Count of stars."""
        return len(self.reference_ra_deg)


@dataclass(frozen=True)
class JointAstrometryConfig:
    """How the joint astrometric fit is made."""

    visit_order: int = 2
    """Degree of the polynomial of each visit, at least 1."""
    detector_order: int = 3
    """Degree of the static distortion of each detector; terms of degree 2 and more are fitted."""
    visit_prior_pix: float = 10.0
    """Expected size of the visits' corrections of degree 0 and 1, pixels."""
    visit_distortion_prior_pix: float = 0.05
    """Expected size of the visits' corrections of higher degree, pixels."""
    detector_prior_pix: float = 0.2
    """Expected size of the detectors' corrections, pixels."""
    map_prior_pix: float = 0.3
    """Expected error of the first maps of single detectors relative to their visit's, pixels."""
    err_floor_pix: float = 0.02
    """Error added in quadrature to that of each centroid, pixels."""
    reference_err_floor_arcsec: float = 0.0
    """Error added in quadrature to those of the catalogue, arcsec."""
    min_years: float = 0.9
    """Span of the dates of a star from which its proper motion is fitted."""
    motion_prior_mas: float = 30.0
    """Expected size of proper motions that the catalogue does not give, mas/yr."""
    motion_err_floor_mas: float = 0.02
    """Error added in quadrature to those of the catalogue's proper motions, mas/yr."""
    max_err_pix: float = 0.2
    """Centroids with larger errors do not shape the fit."""
    bright_err_pix: float = 0.03
    """Stars with centroid errors below this count as bright."""
    clip_sigma: float = 5.0
    """Observations that miss by more standard deviations are left out."""
    reserve_fraction: float = 0.2
    """Share of stars kept out of the fit to test it."""
    seed: int = 0
    """Chooses the reserved stars."""
