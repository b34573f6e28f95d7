"""What the calibration of a visit image compares: its stars and those of the catalogue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.centroid import measure_centroids
from lsstpipe.algorithms.frame_solution import (
    AstrometrySolution,
    DetectedStars,
    ReferenceStars,
)
from lsstpipe.algorithms.measure_sources import Columns
from lsstpipe.algorithms.photometry import ZeroPointVariation, measure_variation
from lsstpipe.algorithms.planes import Planes
from lsstpipe.algorithms.psf_model import PsfFit
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.exposure import ObservationInfo
from lsstpipe.image.mask import MaskPlane
from lsstpipe.image.photocalib import magnitude
from lsstpipe.image.reference import as_seen, bands_of

FloatArray = npt.NDArray[np.float64]

_UNSETTLED_ERR_PIX = 0.1
_CELL_SNR = 20.0


def look_up(reference: Catalog, info: ObservationInfo) -> Catalog:
    """Give the catalogue at the date and in the band of an image.

    Parameters
    ----------
    reference
        A reference catalogue.
    info
        Band and date of the image.

    Raises
    ------
    AlgorithmError
        If the catalogue has fluxes in bands, but not in this one.
    """
    bands = bands_of(reference)
    if bands and info.band not in bands:
        raise AlgorithmError(
            f"The reference catalogue has no flux in band {info.band}; it has {', '.join(bands)}."
        )
    return as_seen(reference, band=info.band, mjd=info.mid_mjd)


def place_stars(
    columns: Columns, image: npt.NDArray[np.float32], planes: Planes, fit: PsfFit
) -> DetectedStars:
    """Collect the positions for the astrometric fit.

    The PSF cannot be fitted to a saturated star, but the plateau of such a star still has a middle.

    Parameters
    ----------
    columns
        What `measure_sources` gave.
    image
        Pixel values before anything was interpolated.
    planes, fit
        Image as it was measured, and its PSF.
    """
    y, x = (columns[axis].astype(np.float64) for axis in ("y", "x"))
    error = np.hypot(columns["xErr"], columns["yErr"]).astype(np.float64) / np.sqrt(2)
    saturated = columns["pixelFlags_saturated"].astype(bool)
    trusted = planes.mask & ~np.int32(MaskPlane.SAT | MaskPlane.INTRP)
    whole = replace(planes, image=image, mask=trusted)
    ny, nx = image.shape
    middle = measure_centroids(
        whole, y=y[saturated], x=x[saturated], psf_sigma=fit.psf.sigma(y=ny / 2, x=nx / 2)
    )
    y[saturated], x[saturated] = middle.y, middle.x
    photons = np.hypot(middle.y_error, middle.x_error) / np.sqrt(2)
    error[saturated] = np.where(middle.flag, _UNSETTLED_ERR_PIX, photons)
    return DetectedStars(
        y=y,
        x=x,
        flux=columns["psfFlux"].astype(np.float64),
        err_pix=error,
        is_saturated=saturated,
    )


def reference_stars(reference: Catalog) -> ReferenceStars:
    """Collect the catalogue for the astrometric fit.

    Parameters
    ----------
    reference
        A catalogue as `look_up` gave it; an error that is unknown counts as the largest.
    """
    error = 3600.0 * np.hypot(reference["raErr"], reference["decErr"]) / np.sqrt(2)
    largest = np.max(error, where=np.isfinite(error), initial=0.0)
    return ReferenceStars(
        reference["ra"],
        reference["dec"],
        _rank(reference),
        np.where(np.isfinite(error), error, largest),
    )


def _rank(reference: Catalog) -> FloatArray:
    """Give the magnitudes that order the stars; those without one come last."""
    known = reference["flux"] > 0
    mag = magnitude(np.where(known, reference["flux"], 1.0))
    return np.where(known, mag, np.max(mag, initial=0.0))


def reference_magnitudes(n: int, solution: AstrometrySolution, reference: Catalog) -> FloatArray:
    """Give each source the magnitude of its catalogue star; NaN where it has none.

    Parameters
    ----------
    n
        Count of sources.
    solution
        Which source is which star.
    reference
        A catalogue as `look_up` gave it.
    """
    result = np.full(n, np.nan)
    flux = reference["flux"][solution.reference]
    mag = magnitude(np.where(flux > 0, flux, 1.0))
    result[solution.detection] = np.where(flux > 0, mag, np.nan)
    return result


def compare_cells(
    columns: Columns, reference_mag: FloatArray, planes: Planes
) -> ZeroPointVariation:
    """Look for clouds: compare the zero points of parts of the detector.

    Parameters
    ----------
    columns
        What `measure_sources` gave.
    reference_mag
        Catalogue magnitude of each source; NaN where it has none.
    planes
        The image.
    """
    flux, error = (columns[f"psfFlux{end}"].astype(np.float64) for end in ("", "Err"))
    good = (flux > _CELL_SNR * error) & ~columns["psfFlux_flag"].astype(bool)
    good &= ~columns["pixelFlags_saturated"].astype(bool)
    mag = -2.5 * np.log10(np.where(good, flux, 1.0))
    return measure_variation(
        np.where(good, reference_mag - mag, np.nan),
        y=columns["y"].astype(np.float64) - planes.y0,
        x=columns["x"].astype(np.float64) - planes.x0,
        shape=planes.image.shape,
    )
