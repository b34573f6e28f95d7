"""World coordinates of an image: the TAN projection with SIP distortion, in plain NumPy.

Pixel positions are absolute and count from 0 at the centre of the lower left pixel. Sources of the
conventions: Calabretta & Greisen (2002) for TAN, Shupe et al. (2005) for SIP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.errors import InputFileError
from lsstpipe.geometry.polynomial import Polynomial, evaluate_polynomial, fit_polynomial
from lsstpipe.geometry.sphere import gnomonic_deproject, gnomonic_project

FloatArray = npt.NDArray[np.float64]
HeaderValue = str | int | float

_MAX_NEWTON_STEPS = 20
_NEWTON_TOLERANCE_PIX = 1e-9
_MAX_RELATIVE_DISTORTION = 0.25
_MAX_SIP_ORDER = 9


@dataclass(frozen=True)
class SkyWcs:
    """The map between pixels and sky of one image, TAN or TAN-SIP.

    Compare, hash and serialise it as a value. `with_distortion` makes one with a fitted inverse.
    """

    crpix: tuple[float, float]
    """Reference pixel (y, x), absolute, counted from 0."""
    crval_deg: tuple[float, float]
    """Right ascension and declination of the reference pixel, degrees."""
    cd: tuple[tuple[float, float], tuple[float, float]]
    """Rows (xi, eta), columns (x, y): degrees per pixel."""
    sip_a: Polynomial = ()
    """Added to x before the CD matrix, pixels; entry ``[p][q]`` multiplies ``dx**p dy**q``."""
    sip_b: Polynomial = ()
    """Added to y before the CD matrix, pixels."""
    sip_ap: Polynomial = ()
    """First guess of what undoes `sip_a`, from undistorted offsets, pixels."""
    sip_bp: Polynomial = ()
    """First guess of what undoes `sip_b`, pixels."""

    @classmethod
    def with_distortion(
        cls, linear: SkyWcs, sip_a: Polynomial, sip_b: Polynomial, *, shape: tuple[int, int]
    ) -> SkyWcs:
        """Add a SIP distortion and fit its inverse over an image.

        Parameters
        ----------
        linear
            Supplies reference pixel, reference position and CD matrix.
        sip_a, sip_b
            Forward polynomials, pixels.
        shape
            Size (y, x) of the image over which the inverse must hold, pixels.

        Returns
        -------
        wcs
            The distorted map.
        """
        order = max(len(sip_a), len(sip_b)) - 1
        if order < 1:
            return cls(linear.crpix, linear.crval_deg, linear.cd)
        grid_y, grid_x = np.meshgrid(
            np.linspace(-0.5, shape[0] - 0.5, 4 * order + 8),
            np.linspace(-0.5, shape[1] - 0.5, 4 * order + 8),
            indexing="ij",
        )
        u, v = grid_x.ravel() - linear.crpix[1], grid_y.ravel() - linear.crpix[0]
        du, dv = evaluate_polynomial(sip_a, u, v)[0], evaluate_polynomial(sip_b, u, v)[0]
        inverse_a = fit_polynomial(u + du, v + dv, -du, order)
        inverse_b = fit_polynomial(u + du, v + dv, -dv, order)
        return cls(linear.crpix, linear.crval_deg, linear.cd, sip_a, sip_b, inverse_a, inverse_b)

    @property
    def order(self) -> int:
        """Highest degree of the map from pixels to the tangent plane: 1 without distortion."""
        return max(len(self.sip_a) - 1, len(self.sip_b) - 1, 1)

    @property
    def pixel_scale_arcsec(self) -> float:
        """Square root of the area of the reference pixel, arcsec."""
        return 3600.0 * float(np.sqrt(abs(self._determinant)))

    @property
    def parity(self) -> int:
        """+1 when east is at +x with north at +y (mirrored sky), -1 for the sky as it is seen."""
        return 1 if self._determinant > 0 else -1

    @property
    def _is_distorted(self) -> bool:
        return bool(self.sip_a or self.sip_b)

    @property
    def _determinant(self) -> float:
        return self.cd[0][0] * self.cd[1][1] - self.cd[0][1] * self.cd[1][0]

    def pixel_to_plane(
        self, *, y: npt.ArrayLike, x: npt.ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """Map pixels to the tangent plane at `crval_deg`.

        Parameters
        ----------
        y, x
            Absolute pixel positions, one shape.

        Returns
        -------
        xi_deg, eta_deg
            Plane coordinates towards east and north, degrees.
        """
        u = np.asarray(x, dtype=np.float64) - self.crpix[1]
        v = np.asarray(y, dtype=np.float64) - self.crpix[0]
        distorted_u = u + evaluate_polynomial(self.sip_a, u, v)[0]
        distorted_v = v + evaluate_polynomial(self.sip_b, u, v)[0]
        (c11, c12), (c21, c22) = self.cd
        return c11 * distorted_u + c12 * distorted_v, c21 * distorted_u + c22 * distorted_v

    def pixel_to_sky(self, *, y: npt.ArrayLike, x: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Map pixels to the sky.

        Parameters
        ----------
        y, x
            Absolute pixel positions, one shape.

        Returns
        -------
        ra_deg, dec_deg
            Sky positions, degrees.
        """
        xi, eta = self.pixel_to_plane(y=y, x=x)
        return gnomonic_deproject(xi, eta, centre_deg=self.crval_deg)

    def sky_to_pixel(
        self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """Map sky positions to pixels, by the inverse polynomial and then Newton's method.

        Parameters
        ----------
        ra_deg, dec_deg
            Sky positions, degrees, one shape.

        Returns
        -------
        y, x
            Absolute pixel positions; NaN 90 degrees or more from the reference position, and where
            the distortion has no inverse near the undistorted position.
        """
        xi, eta = gnomonic_project(ra_deg, dec_deg, centre_deg=self.crval_deg)
        (c11, c12), (c21, c22) = self.cd
        linear_u = (c22 * xi - c12 * eta) / self._determinant
        linear_v = (c11 * eta - c21 * xi) / self._determinant
        if not self._is_distorted:
            u, v = linear_u, linear_v
        else:
            u, v = self._undistort(linear_u, linear_v)
        return v + self.crpix[0], u + self.crpix[1]

    def _undistort(
        self, linear_u: FloatArray, linear_v: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        shape = linear_u.shape
        goal_u, goal_v = np.atleast_1d(linear_u), np.atleast_1d(linear_v)
        # Far outside the image high powers overflow; such points end as NaN below.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            u = goal_u + evaluate_polynomial(self.sip_ap, goal_u, goal_v)[0]
            v = goal_v + evaluate_polynomial(self.sip_bp, goal_u, goal_v)[0]
            for _ in range(_MAX_NEWTON_STEPS):
                step_u, step_v = self._newton_step(u, v, goal_u, goal_v)
                u, v = u - step_u, v - step_v
                if not np.any(np.hypot(step_u, step_v) > _NEWTON_TOLERANCE_PIX):
                    break
            # A polynomial folds back far outside the image: a root far from the undistorted
            # position would put a distant star into the frame.
            shift = np.hypot(u - goal_u, v - goal_v)
            near = shift <= _MAX_RELATIVE_DISTORTION * np.hypot(goal_u, goal_v) + 1.0
            converged = np.hypot(step_u, step_v) <= 1e3 * _NEWTON_TOLERANCE_PIX
        good = near & converged
        return np.where(good, u, np.nan).reshape(shape), np.where(good, v, np.nan).reshape(shape)

    def _newton_step(
        self, u: FloatArray, v: FloatArray, goal_u: FloatArray, goal_v: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        a, a_u, a_v = evaluate_polynomial(self.sip_a, u, v)
        b, b_u, b_v = evaluate_polynomial(self.sip_b, u, v)
        miss_u, miss_v = u + a - goal_u, v + b - goal_v
        determinant = (1.0 + a_u) * (1.0 + b_v) - a_v * b_u
        return (
            ((1.0 + b_v) * miss_u - a_v * miss_v) / determinant,
            ((1.0 + a_u) * miss_v - b_u * miss_u) / determinant,
        )

    def plane_jacobian(self, *, y: npt.ArrayLike, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the derivatives of the tangent-plane coordinates by the pixel coordinates.

        Parameters
        ----------
        y, x
            Absolute pixel positions, one shape.

        Returns
        -------
        jacobian
            Shape ``(..., 2, 2)``: rows (xi, eta), columns (x, y), degrees per pixel.
        """
        u = np.asarray(x, dtype=np.float64) - self.crpix[1]
        v = np.asarray(y, dtype=np.float64) - self.crpix[0]
        _, a_u, a_v = evaluate_polynomial(self.sip_a, u, v)
        _, b_u, b_v = evaluate_polynomial(self.sip_b, u, v)
        distortion = np.stack(
            [np.stack([1.0 + a_u, a_v], axis=-1), np.stack([b_u, 1.0 + b_v], axis=-1)], axis=-2
        )
        return np.asarray(np.array(self.cd) @ distortion, dtype=np.float64)

    def pixel_area(self, *, y: npt.ArrayLike, x: npt.ArrayLike) -> FloatArray:
        """Return the solid angle of pixels relative to that of the reference pixel.

        Parameters
        ----------
        y, x
            Absolute pixel positions, one shape.

        Returns
        -------
        area
            Relative areas: the distortion's Jacobian times the projection's (1 at `crpix` when the
            distortion has no linear terms).
        """
        xi, eta = self.pixel_to_plane(y=y, x=x)
        radius_squared = np.deg2rad(xi) ** 2 + np.deg2rad(eta) ** 2
        plane_area = np.abs(np.linalg.det(self.plane_jacobian(y=y, x=x)))
        relative = plane_area / abs(self._determinant) / (1.0 + radius_squared) ** 1.5
        return np.asarray(relative, dtype=np.float64)

    def to_header(self) -> dict[str, HeaderValue]:
        """Return the FITS cards of this map.

        Returns
        -------
        cards
            Keyword to value, with CRPIX counted from 1.
        """
        suffix = "-SIP" if self._is_distorted else ""
        cards: dict[str, HeaderValue] = {
            "CTYPE1": f"RA---TAN{suffix}",
            "CTYPE2": f"DEC--TAN{suffix}",
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "CRPIX1": self.crpix[1] + 1.0,
            "CRPIX2": self.crpix[0] + 1.0,
            "CRVAL1": self.crval_deg[0],
            "CRVAL2": self.crval_deg[1],
            "CD1_1": self.cd[0][0],
            "CD1_2": self.cd[0][1],
            "CD2_1": self.cd[1][0],
            "CD2_2": self.cd[1][1],
            "RADESYS": "ICRS",
        }
        for name, table in self._distortions().items():
            if table:
                cards[f"{name}_ORDER"] = len(table) - 1
                for p, row in enumerate(table):
                    cards |= {f"{name}_{p}_{q}": c for q, c in enumerate(row) if c != 0.0}
        return cards

    @classmethod
    def from_header(cls, header: Mapping[str, HeaderValue]) -> SkyWcs:
        """Read the map from FITS cards.

        Parameters
        ----------
        header
            Any mapping of keywords to values; without a CD matrix CDELT and PC are used.

        Returns
        -------
        wcs
            The map.

        Raises
        ------
        InputFileError
            The projection is not TAN or TAN-SIP, or a card is missing.
        """
        ctypes = tuple(str(header.get(f"CTYPE{axis}", "")).strip() for axis in (1, 2))
        if ctypes not in (("RA---TAN", "DEC--TAN"), ("RA---TAN-SIP", "DEC--TAN-SIP")):
            raise InputFileError(
                f"The header's projection is {ctypes[0]!r}, {ctypes[1]!r}; allowed are TAN and "
                "TAN-SIP with the right ascension first."
            )
        missing = [k for k in ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2") if k not in header]
        if missing:
            raise InputFileError(f"The header's sky coordinates lack the card {missing[0]}.")
        distorted = ctypes[0].endswith("SIP")
        tables = [_read_sip(header, name) if distorted else () for name in ("A", "B", "AP", "BP")]
        return cls(
            (float(header["CRPIX2"]) - 1.0, float(header["CRPIX1"]) - 1.0),
            (float(header["CRVAL1"]), float(header["CRVAL2"])),
            _read_cd(header),
            *tables,
        )

    def _distortions(self) -> dict[str, Polynomial]:
        return {"A": self.sip_a, "B": self.sip_b, "AP": self.sip_ap, "BP": self.sip_bp}

    def to_json_dict(self) -> dict[str, list[float] | list[list[float]]]:
        """Return the map as lists of floats, which JSON keeps exactly.

        Returns
        -------
        plain
            Field names to numbers.
        """
        return {
            "crpix": list(self.crpix),
            "crval_deg": list(self.crval_deg),
            "cd": [list(row) for row in self.cd],
            **{
                f"sip_{name.lower()}": [list(row) for row in table]
                for name, table in self._distortions().items()
            },
        }

    @classmethod
    def from_json_dict(cls, plain: Mapping[str, list[float] | list[list[float]]]) -> SkyWcs:
        """Make the map from what `to_json_dict` gave.

        Parameters
        ----------
        plain
            Field names to numbers.

        Returns
        -------
        wcs
            A map equal to the one that was written.
        """
        tables = {name: _as_table(plain[name]) for name in ("sip_a", "sip_b", "sip_ap", "sip_bp")}
        (c11, c12), (c21, c22) = _as_table(plain["cd"])
        crpix, crval = np.ravel(plain["crpix"]), np.ravel(plain["crval_deg"])
        return cls(
            (float(crpix[0]), float(crpix[1])),
            (float(crval[0]), float(crval[1])),
            ((c11, c12), (c21, c22)),
            **tables,
        )


def _as_table(rows: list[float] | list[list[float]]) -> Polynomial:
    return tuple(tuple(float(c) for c in np.atleast_1d(row)) for row in rows)


def _read_sip(header: Mapping[str, HeaderValue], name: str) -> Polynomial:
    order = int(header.get(f"{name}_ORDER", 0))
    if not 0 <= order <= _MAX_SIP_ORDER:
        raise InputFileError(
            f"The header's {name}_ORDER is {order}; allowed is 0 to {_MAX_SIP_ORDER}."
        )
    if order == 0:
        return ()
    return tuple(
        tuple(float(header.get(f"{name}_{p}_{q}", 0.0)) for q in range(order + 1))
        for p in range(order + 1)
    )


def _read_cd(
    header: Mapping[str, HeaderValue],
) -> tuple[tuple[float, float], tuple[float, float]]:
    if any(f"CD{i}_{j}" in header for i in (1, 2) for j in (1, 2)):
        rows = [[float(header.get(f"CD{i}_{j}", 0.0)) for j in (1, 2)] for i in (1, 2)]
    else:
        rows = [
            [
                float(header.get(f"CDELT{i}", 1.0))
                * float(header.get(f"PC{i}_{j}", 1.0 if i == j else 0.0))
                for j in (1, 2)
            ]
            for i in (1, 2)
        ]
    if rows[0][0] * rows[1][1] == rows[0][1] * rows[1][0]:
        raise InputFileError(f"The header's CD matrix {rows} has no inverse.")
    return (rows[0][0], rows[0][1]), (rows[1][0], rows[1][1])
