"""The linear equations of the joint astrometric fit.

Plane coordinates are those of one tangent plane for all visits, in units of the mean pixel. A
parameter is then a shift in pixels, of the whole plane for a visit, along the pixel axes for a
detector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from lsstpipe.algorithms.astrometric_observations import (
    AstrometricObservations,
    JointAstrometryConfig,
)
from lsstpipe.algorithms.star_elimination import StarModel
from lsstpipe.geometry.proper_motion import move_stars
from lsstpipe.geometry.sphere import (
    gnomonic_deproject,
    gnomonic_project,
    sky_positions,
    unit_vectors,
)
from lsstpipe.geometry.wcs import SkyWcs

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_ARCSEC = 3600.0
_MAS_PER_DEGREE = 3.6e6
_HALF_STEP_PIX = 0.5


@dataclass(frozen=True)
class Corrections:
    """The parameters: one polynomial a visit over the plane, one a detector over its pixels.

    With several detectors each first map also gets a linear correction over its pixels, because
    first maps that were solved one by one do not fit together.
    """

    observations: AstrometricObservations
    config: JointAstrometryConfig
    centre_deg: tuple[float, float]
    """Tangent point of the common plane."""
    scale_deg: float
    """Size of a pixel."""
    visits: IntArray
    """Numbers of the visits, rising."""
    detectors: IntArray
    """Numbers of the detectors, rising."""
    visit_centres: FloatArray
    """Where the polynomial of each visit is centred on the plane, shape ``(n_visits, 2)``."""
    radius: float
    """Where the arguments of the visits' polynomials reach 1."""

    @classmethod
    def over(
        cls, observations: AstrometricObservations, config: JointAstrometryConfig
    ) -> Corrections:
        """Choose the plane and the scales from the first maps.

        Parameters
        ----------
        observations
            Centroids and first maps.
        config
            Orders and priors.

        Returns
        -------
        corrections
            The parameters' meaning.
        """
        keys = sorted(observations.wcs)
        maps = [observations.wcs[key] for key in keys]
        poles = unit_vectors([w.crval_deg[0] for w in maps], [w.crval_deg[1] for w in maps])
        ra, dec = sky_positions(poles.mean(axis=0))
        centre = (float(ra), float(dec))
        scale_deg = float(np.median([w.pixel_scale_arcsec for w in maps])) / _ARCSEC
        corners = np.stack(
            [
                _on_plane(own, *corner_pixels(observations.shapes[detector]), centre) / scale_deg
                for own, (_, detector) in zip(maps, keys, strict=True)
            ]
        )
        visit_of_map = np.array([visit for visit, _ in keys])
        visits = np.unique(visit_of_map)
        centres = np.stack([corners[visit_of_map == v].mean(axis=(0, 1)) for v in visits])
        offsets = corners - centres[np.searchsorted(visits, visit_of_map)][:, None, :]
        return cls(
            observations,
            config,
            centre,
            scale_deg,
            visits,
            np.unique([detector for _, detector in keys]),
            centres,
            float(np.hypot(offsets[..., 0], offsets[..., 1]).max()),
        )

    @property
    def detector_degrees(self) -> tuple[int, int]:
        """Lowest and highest degree of a detector's polynomial."""
        # The low terms of a lone detector are those of the visits; several it places.
        return (2 if len(self.detectors) == 1 else 0, self.config.detector_order)

    @property
    def map_degrees(self) -> tuple[int, int]:
        """Lowest and highest degree of the correction of one map."""
        return (0, -1 if len(self.detectors) == 1 else 1)

    @property
    def prior_weight(self) -> FloatArray:
        """Inverse variance of each parameter."""
        n_higher = n_monomials(2, self.config.visit_order)
        visit_sizes = [self.config.visit_prior_pix] * n_monomials(0, 1)
        visit_sizes += [self.config.visit_distortion_prior_pix] * n_higher
        n_detector = 2 * len(self.detectors) * n_monomials(*self.detector_degrees)
        n_map = 2 * len(self.observations.wcs) * n_monomials(*self.map_degrees)
        return np.concatenate(
            [
                np.tile(np.array(visit_sizes) ** -2.0, 2 * len(self.visits)),
                np.full(n_detector, self.config.detector_prior_pix**-2),
                np.full(n_map, self.config.map_prior_pix**-2),
            ]
        )

    def linearise(
        self, key: tuple[int, int], *, y: FloatArray, x: FloatArray
    ) -> tuple[FloatArray, FloatArray, csr_array]:
        """Return first plane positions and what the parameters add to them.

        Parameters
        ----------
        key
            Visit and detector.
        y, x
            Absolute pixel positions, shape ``(n,)``.

        Returns
        -------
        plane
            Position by the first map, shape ``(n, 2)``, pixels.
        jacobian
            Its derivatives by (x, y), shape ``(n, 2, 2)``.
        design
            Derivatives of the plane position by the parameters, shape ``(2 n, n_parameters)``: all
            xi, then all eta.
        """
        wcs, n = self.observations.wcs[key], len(y)
        plane = _on_plane(wcs, y, x, self.centre_deg) / self.scale_deg
        jacobian = self._jacobian(wcs, y, x)
        visit = int(np.searchsorted(self.visits, key[0]))
        detector = int(np.searchsorted(self.detectors, key[1]))
        u, v = ((plane - self.visit_centres[visit]) / self.radius).T
        by_visit = monomials(u, v, 0, self.config.visit_order)
        height, width = self.observations.shapes[key[1]]
        half = max(height, width) / 2.0
        on_pixels = (x - (width - 1) / 2.0) / half, (y - (height - 1) / 2.0) / half
        by_detector = monomials(*on_pixels, *self.detector_degrees)
        by_map = monomials(*on_pixels, *self.map_degrees)
        zeros = np.zeros_like(by_visit)
        along_pixels = [
            [jacobian[:, axis, k, None] * basis for basis in (by_detector, by_map) for k in (0, 1)]
            for axis in (0, 1)
        ]
        on_xi = np.concatenate([by_visit, zeros, *along_pixels[0]], axis=1)
        on_eta = np.concatenate([zeros, by_visit, *along_pixels[1]], axis=1)
        block = np.concatenate([on_xi, on_eta])
        widths = [2 * basis.shape[1] for basis in (by_visit, by_detector, by_map)]
        numbers = [visit, detector, sorted(self.observations.wcs).index(key)]
        starts = np.cumsum([0, widths[0] * len(self.visits), widths[1] * len(self.detectors)])
        columns = np.concatenate(
            [
                start + number * width + np.arange(width)
                for start, number, width in zip(starts, numbers, widths, strict=True)
            ]
        )
        rows = np.repeat(np.arange(2 * n), len(columns))
        shape = (2 * n, len(self.prior_weight))
        design = coo_array((block.ravel(), (rows, np.tile(columns, 2 * n))), shape=shape)
        return plane, jacobian, csr_array(design)

    def corrected_sky(
        self, key: tuple[int, int], parameters: FloatArray, *, y: FloatArray, x: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Map pixels to the sky with the corrections.

        Parameters
        ----------
        key
            Visit and detector.
        parameters
            The solution.
        y, x
            Absolute pixel positions, shape ``(n,)``.

        Returns
        -------
        ra_deg, dec_deg
            Sky positions, degrees.
        """
        plane, _, design = self.linearise(key, y=y, x=x)
        corrected = plane + (design @ parameters).reshape(2, -1).T
        return self.to_sky(corrected)

    def to_sky(self, plane: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the sky positions of points of the common plane.

        Parameters
        ----------
        plane
            Shape ``(n, 2)``, pixels.

        Returns
        -------
        ra_deg, dec_deg
            Sky positions, degrees.
        """
        xi, eta = (plane * self.scale_deg).T
        return gnomonic_deproject(xi, eta, centre_deg=self.centre_deg)

    def motion_on_plane(self, motion_mas: FloatArray) -> FloatArray:
        """Put the motions of the catalogue's stars on the plane.

        Parameters
        ----------
        motion_mas
            Along ra times cos(dec) and dec, mas/yr, shape ``(n_stars, 2)``; NaN where unknown.

        Returns
        -------
        motion
            Pixels a year along xi and eta; 0 where unknown.
        """
        data = self.observations
        known = np.isfinite(data.reference_ra_deg + data.reference_dec_deg + motion_mas.sum(axis=1))
        ra = np.where(known, data.reference_ra_deg, self.centre_deg[0])
        dec = np.where(known, data.reference_dec_deg, self.centre_deg[1])
        by_axis = (motion_mas[:, 0], motion_mas[:, 1])
        moved = move_stars(ra, dec, by_axis, np.ones(len(ra)))
        after = np.stack(gnomonic_project(*moved, centre_deg=self.centre_deg), axis=1)
        before = np.stack(gnomonic_project(ra, dec, centre_deg=self.centre_deg), axis=1)
        return np.where(known[:, None], (after - before) / self.scale_deg, 0.0)

    def motion_on_sky(self, plane: FloatArray, motion: FloatArray) -> FloatArray:
        """Turn motions on the plane into those on the sky.

        Parameters
        ----------
        plane
            Positions, pixels, shape ``(n, 2)``.
        motion
            Pixels a year along xi and eta, shape ``(n, 2)``.

        Returns
        -------
        motion
            Along ra times cos(dec) and dec, mas/yr.
        """
        ra, dec = self.to_sky(plane)
        moved_ra, moved_dec = self.to_sky(plane + motion)
        d_ra = (moved_ra - ra + 180.0) % 360.0 - 180.0
        on_sky = np.stack([d_ra * np.cos(np.deg2rad(dec)), moved_dec - dec], axis=1)
        return np.asarray(on_sky * _MAS_PER_DEGREE)

    def equations(self) -> tuple[StarModel, FloatArray]:
        """Return the equations of all observations.

        Returns
        -------
        model
            Rows are all xi, then all eta; so are the values of the stars.
        jacobian
            Of each observation, shape ``(n, 2, 2)``.
        """
        data, n = self.observations, len(self.observations.star)
        plane, jacobian = np.zeros((n, 2)), np.tile(np.eye(2), (n, 1, 1))
        rows, columns, values = [], [], []
        usable = np.isfinite(data.y + data.x)
        for key in sorted(data.wcs):
            index = np.flatnonzero(usable & (data.visit == key[0]) & (data.detector == key[1]))
            if len(index) == 0:
                continue
            plane[index], jacobian[index], design = self.linearise(
                key, y=data.y[index], x=data.x[index]
            )
            block = design.tocoo()
            rows.append(np.concatenate([index, index + n])[block.row])
            columns.append(block.col)
            values.append(block.data)
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        known = np.isfinite(data.reference_ra_deg + data.reference_dec_deg)
        reference = np.stack(
            gnomonic_project(
                np.where(known, data.reference_ra_deg, self.centre_deg[0]),
                np.where(known, data.reference_dec_deg, self.centre_deg[1]),
                centre_deg=self.centre_deg,
            )
        )
        model = StarModel(
            design=csr_array(entries, shape=(2 * n, len(self.prior_weight))),
            value=plane.T.ravel(),
            star=np.concatenate([data.star, data.star + data.n_stars]),
            reference_value=reference.ravel() / self.scale_deg,
            reference_weight=np.tile(self._reference_weight(known), 2),
            prior_weight=self.prior_weight,
        )
        return model, jacobian

    def _reference_weight(self, known: npt.NDArray[np.bool_]) -> FloatArray:
        err_arcsec = np.hypot(
            self.observations.reference_err_arcsec, self.config.reference_err_floor_arcsec
        )
        valid = known & (err_arcsec > 0)
        err_pix = np.where(valid, err_arcsec, 1.0) / _ARCSEC / self.scale_deg
        return np.where(valid, err_pix**-2, 0.0)

    def _jacobian(self, wcs: SkyWcs, y: FloatArray, x: FloatArray) -> FloatArray:
        h = _HALF_STEP_PIX
        by_x = _on_plane(wcs, y, x + h, self.centre_deg) - _on_plane(wcs, y, x - h, self.centre_deg)
        by_y = _on_plane(wcs, y + h, x, self.centre_deg) - _on_plane(wcs, y - h, x, self.centre_deg)
        return np.stack([by_x, by_y], axis=-1) / (2.0 * h * self.scale_deg)


def corner_pixels(shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Give the middles of the pixels in the corners of a detector.

    Parameters
    ----------
    shape
        Its size (y, x), pixels.

    Returns
    -------
    y, x
        Shape ``(4,)`` each.
    """
    bottom, right = shape[0] - 1.0, shape[1] - 1.0
    return np.array([0.0, 0.0, bottom, bottom]), np.array([0.0, right, 0.0, right])


def n_monomials(lowest: int, highest: int) -> int:
    """Count the monomials of two variables between two total degrees.

    Parameters
    ----------
    lowest, highest
        Total degrees, both included.

    Returns
    -------
    n
        The count.
    """
    return sum(degree + 1 for degree in range(lowest, highest + 1))


def monomials(u: FloatArray, v: FloatArray, lowest: int, highest: int) -> FloatArray:
    """Evaluate the monomials of two variables between two total degrees.

    Parameters
    ----------
    u, v
        Where to evaluate, shape ``(n,)``.
    lowest, highest
        Total degrees, both included.

    Returns
    -------
    basis
        Shape ``(n, n_monomials)``.
    """
    columns = [
        u ** (degree - q) * v**q for degree in range(lowest, highest + 1) for q in range(degree + 1)
    ]
    return np.stack(columns, axis=1) if columns else np.empty((len(u), 0))


def _on_plane(
    wcs: SkyWcs, y: FloatArray, x: FloatArray, centre_deg: tuple[float, float]
) -> FloatArray:
    ra, dec = wcs.pixel_to_sky(y=y, x=x)
    return np.stack(gnomonic_project(ra, dec, centre_deg=centre_deg), axis=-1)
