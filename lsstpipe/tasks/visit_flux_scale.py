"""The scale of the fluxes of a visit image: the aperture that PSF fluxes are made to agree with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.aperture_correction import (
    ApertureCorrectionSettings,
    fit_aperture_correction,
)
from lsstpipe.algorithms.growth import measure_growth
from lsstpipe.algorithms.measure_sources import Columns
from lsstpipe.algorithms.planes import Planes
from lsstpipe.image.aperture_correction import ApertureCorrection
from lsstpipe.image.psf import Psf

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FluxScale:
    """The aperture that PSF fluxes are put on the scale of.

    Attributes
    ----------
    aperture
        One of the columns of the catalogue.
    radius_pix
        Its radius where the seeing is too wide for the columns; None takes ``aperture``.
    max_order
        Degree of the ratio of aperture to PSF flux over the detector.
    """

    aperture: str
    radius_pix: float | None
    max_order: int


def correct_apertures(
    columns: Columns, stars: IntArray, planes: Planes, psf: Psf, scale: FluxScale
) -> ApertureCorrection:
    """Fit the ratio of the aperture's to the PSF's flux over the stars.

    Parameters
    ----------
    columns
        Measured sources, in the units of the image.
    stars
        Numbers of those that are PSF stars.
    planes
        Image without background, variance and mask.
    psf
        PSF in absolute coordinates.
    scale
        Which aperture.

    Raises
    ------
    AlgorithmError
        If too few stars have both fluxes.
    """
    psf_flux = columns["psfFlux"][stars].astype(np.float64)
    if scale.radius_pix is None:
        flux, error, bad = _from_columns(columns, stars, scale.aperture)
    else:
        flux, error, bad = _from_pixels(columns, stars, planes, psf, scale.radius_pix)
    bad = bad | columns["psfFlux_flag"][stars].astype(bool)
    ny, nx = planes.image.shape
    return fit_aperture_correction(
        np.where(bad, np.nan, flux / psf_flux),
        error / np.abs(psf_flux),
        y=columns["y"][stars].astype(np.float64),
        x=columns["x"][stars].astype(np.float64),
        box=(planes.y0, planes.x0, ny, nx),
        settings=ApertureCorrectionSettings(max_order=scale.max_order),
    )


def _from_columns(
    columns: Columns, stars: IntArray, name: str
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Take flux, error and flag of an aperture that was measured for all sources."""
    flux, error = (columns[f"{name}Flux{end}"][stars].astype(np.float64) for end in ("", "Err"))
    return flux, error, columns[f"{name}Flux_flag"][stars].astype(bool)


def _from_pixels(
    columns: Columns, stars: IntArray, planes: Planes, psf: Psf, radius: float
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Measure a larger aperture on the stars alone."""
    position = np.stack([columns["y"], columns["x"]], axis=1).astype(np.float64)
    grown = measure_growth(
        planes,
        psf,
        position=np.where(np.isfinite(position), position, -1e6),
        flux=columns["psfFlux"].astype(np.float64),
        stars=stars,
        radii=(radius,),
    )
    return grown.flux[:, 0], grown.error[:, 0], grown.flag[:, 0] | grown.has_masked[:, 0]
