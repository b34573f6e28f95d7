"""Point spread functions that can be drawn anywhere on an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.ndimage import spline_filter

from lsstpipe.image._psf_kernel import draw, moments_of_stamps

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FWHM_PER_SIGMA = 2.3548
"""Full width at half maximum of a Gaussian of unit standard deviation."""

_MARGIN = 4
"""Knots of zeros around a cell's stamp, so that its spline may ring out instead of reflecting."""


class Psf(Protocol):
    """A PSF that is known at every position of an image.

    Its value on a pixel is the share of a source's flux that falls on it: the response of the pixel
    is part of the PSF. A stamp has sum 1; flux beyond the stamp is for the aperture correction.
    """

    @property
    def size(self) -> int:
        """Side of a stamp in pixels, odd."""
        ...

    def stamp(self, *, y: float, x: float) -> FloatArray:
        """Draw the PSF of a source at one position, shape ``(size, size)``."""
        ...

    def stamps(self, *, y: FloatArray, x: FloatArray) -> FloatArray:
        """Draw the PSF of sources at many positions, shape ``(n, size, size)``."""
        ...

    def gradients(self, *, y: FloatArray, x: FloatArray) -> FloatArray:
        """Draw stamps and their derivatives by y and by x, shape ``(n, 3, size, size)``."""
        ...

    def sigma(self, *, y: float, x: float) -> float:
        """Measure the width: square root of half the sum of the adaptive second moments."""
        ...

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Give what `psf_from_arrays` needs to build the same PSF again."""
        ...


def nearest_pixel(coordinate: FloatArray) -> IntArray:
    """Find the pixel that holds a coordinate; a half goes up.

    Parameters
    ----------
    coordinate
        Absolute pixel coordinates.
    """
    pixel: IntArray = np.floor(coordinate + 0.5).astype(np.int64)
    return pixel


def stamp_moments(stamp: FloatArray) -> tuple[float, float, float]:
    """Measure the adaptive second moments of a noise-free stamp.

    Parameters
    ----------
    stamp
        PSF near its middle, shape ``(s, s)``.

    Returns
    -------
    iyy, ixx, ixy
        Moments in pixels squared; NaN where they do not converge.
    """
    iyy, ixx, ixy = stamps_moments(stamp[None])[0].tolist()
    return iyy, ixx, ixy


def stamps_moments(stamps: FloatArray, tolerance: float = 1e-9) -> FloatArray:
    """Measure the adaptive second moments of many noise-free stamps.

    Parameters
    ----------
    stamps
        PSFs near their middles, shape ``(n, s, s)``.
    tolerance
        Relative change at which to stop.

    Returns
    -------
    moments
        iyy, ixx, ixy in pixels squared, shape ``(n, 3)``; NaN where they do not converge.
    """
    half = 0.5 * (stamps.shape[1] - 1)
    start = np.array([half, half, 2.0, 2.0])
    found = moments_of_stamps(np.ascontiguousarray(stamps), start, tolerance)
    return np.where(found[:, 6:] > 0, found[:, 2:5], np.nan)


def _width(stamp: FloatArray) -> float:
    """Turn the moments of a stamp into a width."""
    iyy, ixx, _ = stamp_moments(stamp)
    return float(np.sqrt(0.5 * (iyy + ixx)))


def _position(y: FloatArray, x: FloatArray) -> FloatArray:
    """Stack positions as float64, shape ``(n, 2)``."""
    return np.stack([np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)], axis=1)


def n_terms(order: int) -> int:
    """Count the terms of a polynomial of two variables.

    Parameters
    ----------
    order
        Highest total degree.
    """
    return (order + 1) * (order + 2) // 2


@dataclass(frozen=True, slots=True, eq=False)
class PolynomialPsf:
    """A cubic spline on a grid of knots whose coefficients are polynomials of the position.

    The spline gives the PSF at any offset from its centre, so that no stamp is ever resampled. With
    more than one knot a pixel it holds PSFs that the pixels undersample, which can be learned from
    stars at many sub-pixel positions (Anderson & King 2000, PASP 112, 1360).

    Attributes
    ----------
    coefficients
        Spline coefficients of each term, shape ``(n_terms, m, m)`` with m odd; the terms are
        ``v**p * u**q`` in the order (0,0), (0,1), (1,0), (0,2), (1,1), (2,0), and so on.
    order
        Highest total degree of the polynomial.
    oversampling
        Knots a pixel.
    box
        ``(y0, x0, ny, nx)``: pixels over which v and u run from -1 to 1.
    size
        Side of a stamp in pixels, odd.
    """

    coefficients: FloatArray
    order: int
    oversampling: int
    box: tuple[int, int, int, int]
    size: int

    def __post_init__(self) -> None:
        """Check the shapes."""
        terms, ny, nx = self.coefficients.shape
        if terms != n_terms(self.order) or ny != nx or ny % 2 == 0 or self.size % 2 == 0:
            raise ValueError(
                f"coefficients of order {self.order} must have shape ({n_terms(self.order)}, m, m) "
                f"with m and the stamp size odd, got {self.coefficients.shape} and {self.size}."
            )

    def basis(self, *, y: FloatArray, x: FloatArray) -> FloatArray:
        """Evaluate the polynomial terms.

        Parameters
        ----------
        y, x
            Absolute positions, shape ``(n,)``.

        Returns
        -------
        numpy.ndarray
            Shape ``(n, n_terms)``.
        """
        y0, x0, ny, nx = self.box
        v = (np.asarray(y, dtype=np.float64) - (y0 + 0.5 * (ny - 1))) / (0.5 * ny)
        u = (np.asarray(x, dtype=np.float64) - (x0 + 0.5 * (nx - 1))) / (0.5 * nx)
        terms = [v**p * u ** (d - p) for d in range(self.order + 1) for p in range(d + 1)]
        return np.stack(terms, axis=1)

    def stamp(self, *, y: float, x: float) -> FloatArray:
        """Draw the PSF at one position.

        Parameters
        ----------
        y, x
            Absolute position.
        """
        single: FloatArray = self.stamps(y=np.array([y]), x=np.array([x]))[0]
        return single

    def stamps(self, *, y: FloatArray, x: FloatArray) -> FloatArray:
        """Draw the PSF at many positions.

        Parameters
        ----------
        y, x
            Absolute positions, shape ``(n,)``.
        """
        drawn: FloatArray = self._draw(_position(y, x), 1)[:, 0]
        return drawn

    def gradients(self, *, y: FloatArray, x: FloatArray) -> FloatArray:
        """Draw stamps and their derivatives by y and by x.

        Parameters
        ----------
        y, x
            Absolute positions, shape ``(n,)``.
        """
        return self._draw(_position(y, x), 3)

    def sigma(self, *, y: float, x: float) -> float:
        """Measure the width at one position.

        Parameters
        ----------
        y, x
            Absolute position.
        """
        return _width(self.stamp(y=y, x=x))

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Give what `psf_from_arrays` needs to build the same PSF again."""
        return {
            "polynomial": np.array([self.order, self.oversampling, self.size, *self.box]),
            "coefficients": self.coefficients,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> PolynomialPsf:
        """Build a PSF from what `to_arrays` gave.

        Parameters
        ----------
        arrays
            Arrays by name.
        """
        order, oversampling, size, y0, x0, ny, nx = (int(v) for v in arrays["polynomial"])
        coefficients = np.ascontiguousarray(arrays["coefficients"], dtype=np.float64)
        return cls(coefficients, order, oversampling, (y0, x0, ny, nx), size)

    def _draw(self, positions: FloatArray, n_planes: int) -> FloatArray:
        """Draw stamps, and derivatives if ``n_planes`` is 3."""
        shifts = positions - nearest_pixel(positions)
        basis = self.basis(y=positions[:, 0], x=positions[:, 1])
        stamps = np.empty((len(positions), n_planes, self.size, self.size))
        draw(self.coefficients, basis, shifts, self.oversampling, stamps)
        return stamps


@dataclass(frozen=True, slots=True, eq=False)
class CellPsf:
    """One PSF for each cell of a grid; a position takes that of the nearest cell.

    The PSF of a coadd jumps where its inputs begin and end, so cells are not interpolated. Between
    knots a stamp is interpolated by a cubic spline, which needs a full width at half maximum of
    about 4 knots or more.

    Attributes
    ----------
    images
        PSF of each cell at its knots, centred on the middle one, shape ``(n_cell_y, n_cell_x, m,
        m)``, m odd.
    y0, x0
        Absolute coordinates of the lower left pixel of the grid.
    cell_size
        Side of a cell in pixels.
    oversampling
        Knots a pixel.
    """

    images: FloatArray
    y0: int
    x0: int
    cell_size: int
    oversampling: int = 1

    def __post_init__(self) -> None:
        """Check the shapes."""
        if self.images.ndim != 4 or self.images.shape[2] != self.images.shape[3]:
            raise ValueError(f"images must have shape (ny, nx, m, m), got {self.images.shape}.")
        if (self.images.shape[3] - 1) % (2 * self.oversampling) or self.cell_size < 1:
            raise ValueError(
                "the stamps must have an odd number of pixels and the cells at least 1, got "
                f"{self.images.shape[3]} knots, {self.oversampling} a pixel, and {self.cell_size}."
            )

    @property
    def size(self) -> int:
        """Side of a stamp in pixels, odd."""
        return int(self.images.shape[3] - 1) // self.oversampling + 1

    @property
    def centred(self) -> FloatArray:
        """PSF of each cell for a source in the middle of a pixel, shape ``(ny, nx, s, s)``."""
        return self.images[:, :, :: self.oversampling, :: self.oversampling]

    def stamp(self, *, y: float, x: float) -> FloatArray:
        """Draw the PSF at one position.

        Parameters
        ----------
        y, x
            Absolute position.
        """
        single: FloatArray = self.stamps(y=np.array([y]), x=np.array([x]))[0]
        return single

    def stamps(self, *, y: FloatArray, x: FloatArray) -> FloatArray:
        """Draw the PSF at many positions.

        Parameters
        ----------
        y, x
            Absolute positions, shape ``(n,)``.
        """
        drawn: FloatArray = self._draw(_position(y, x), 1)[:, 0]
        return drawn

    def gradients(self, *, y: FloatArray, x: FloatArray) -> FloatArray:
        """Draw stamps and their derivatives by y and by x.

        Parameters
        ----------
        y, x
            Absolute positions, shape ``(n,)``.
        """
        return self._draw(_position(y, x), 3)

    def sigma(self, *, y: float, x: float) -> float:
        """Measure the width at one position.

        Parameters
        ----------
        y, x
            Absolute position.
        """
        return _width(self.stamp(y=y, x=x))

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Give what `psf_from_arrays` needs to build the same PSF again."""
        grid = np.array([self.y0, self.x0, self.cell_size, self.oversampling])
        return {"cells": grid, "images": self.images}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> CellPsf:
        """Build a PSF from what `to_arrays` gave.

        Parameters
        ----------
        arrays
            Arrays by name.
        """
        images = np.ascontiguousarray(arrays["images"], dtype=np.float64)
        return cls(images, *(int(v) for v in arrays["cells"]))

    def _draw(self, positions: FloatArray, n_planes: int) -> FloatArray:
        """Draw stamps, and derivatives if ``n_planes`` is 3, cell by cell."""
        pixels = nearest_pixel(positions)
        n_y, n_x = self.images.shape[:2]
        row = np.clip((pixels[:, 0] - self.y0) // self.cell_size, 0, n_y - 1)
        column = np.clip((pixels[:, 1] - self.x0) // self.cell_size, 0, n_x - 1)
        stamps = np.empty((len(positions), n_planes, self.size, self.size))
        for cell in np.unique(row * n_x + column):
            inside = np.flatnonzero(row * n_x + column == cell)
            padded = np.pad(self.images[cell // n_x, cell % n_x], _MARGIN)
            spline = spline_filter(padded, order=3, mode="mirror")
            drawn = np.empty((len(inside), n_planes, self.size, self.size))
            shifts = (positions - pixels)[inside]
            draw(spline[None], np.ones((len(inside), 1)), shifts, self.oversampling, drawn)
            stamps[inside] = drawn
        return stamps


def psf_from_arrays(arrays: Mapping[str, npt.NDArray[np.generic]]) -> Psf:
    """Build a PSF of either kind from what its `to_arrays` gave.

    Parameters
    ----------
    arrays
        Arrays by name.

    Raises
    ------
    ValueError
        If the arrays are those of no known PSF.
    """
    if "polynomial" in arrays:
        return PolynomialPsf.from_arrays(arrays)
    if "cells" in arrays:
        return CellPsf.from_arrays(arrays)
    raise ValueError(f"arrays of a PSF must hold 'polynomial' or 'cells', got {sorted(arrays)}.")
