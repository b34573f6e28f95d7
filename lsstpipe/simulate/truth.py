"""What is true of a survey, as files beside its raw frames.

================================  ==================================================================
file below ``truth/``             content
================================  ==================================================================
``objects.parquet``               every object of the sky
``visits.json``                   each visit: true pointing, seeing, zero point, sky, and the true
                                  WCS of each of its detectors
``visits/<visit>-<det>.parquet``  each object on a detector: pixel position, flux, PSF
``rays/<exp>-<det>.parquet``      each pixel that a cosmic ray hit, with its electrons
``detectors/<det>.json``          gain, read noise, crosstalk and so on of each amplifier
``detectors/<det>.fits``          images: flats, bias, dark, fringe, defects
================================  ==================================================================
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from lsstpipe.image.catalog import Catalog, Column, Schema
from lsstpipe.simulate.atmosphere import BETA
from lsstpipe.simulate.detector import (
    BIAS_STEP,
    DARK_STEP,
    FLAT_STEP,
    FRINGE_STEP,
    DetectorTruth,
    flat,
)
from lsstpipe.simulate.draw import Drawn
from lsstpipe.simulate.optics import true_wcs
from lsstpipe.simulate.reference import COLOUR_PIVOT_MAG, COLOUR_TERM
from lsstpipe.simulate.sky import BANDS, Scene
from lsstpipe.simulate.survey import Exposure, Survey

Plain = dict[str, Any]

_AB_ZERO_POINT_MAG = 31.4
_MARGIN_PIX = 20.0

OBJECTS = Schema(
    "simulated_objects",
    (
        Column("id", "int64", "", "Number of the object."),
        Column("kind", "int64", "", "0 star, 1 exponential, 2 de Vaucouleurs, 3 transient."),
        Column("ra", "float64", "deg", "Right ascension at the reference epoch."),
        Column("dec", "float64", "deg", "Declination at the reference epoch."),
        Column("pmRa", "float64", "mas/yr", "Proper motion in right ascension times cos(dec)."),
        Column("pmDec", "float64", "mas/yr", "Proper motion in declination."),
        *(Column(f"{b}_mag", "float64", "mag", f"AB, mean or peak, in {b}.") for b in BANDS),
        Column("halfLightRadius", "float64", "arcsec", "Of a galaxy; 0 of points."),
        Column("g1", "float64", "", "Shape of a galaxy, along north."),
        Column("g2", "float64", "", "Shape of a galaxy, diagonal."),
        Column("amplitude", "float64", "mag", "Of a variable star; 0 of the others."),
        Column("period", "float64", "d", "Of a variable star."),
        Column("peakMjd", "float64", "d", "Of a transient."),
        Column("duration", "float64", "d", "Of a transient."),
    ),
)
"""Columns of the objects."""

PLACED = Schema(
    "simulated_sources",
    (
        Column("id", "int64", "", "Number of the object."),
        Column("kind", "int64", "", "0 star, 1 exponential, 2 de Vaucouleurs, 3 transient."),
        Column("y", "float64", "pixel", "Row."),
        Column("x", "float64", "pixel", "Column."),
        Column("flux", "float64", "nJy", "Flux in the band at the time."),
        Column("electrons", "float64", "electron", "Expected electrons before the flat."),
        Column("psfFwhm", "float64", "pixel", "Full width at half maximum of the PSF there."),
        Column("psfA", "float64", "", "Element xx of the PSF's form of determinant 1."),
        Column("psfB", "float64", "", "Element xy."),
        Column("psfC", "float64", "", "Element yy."),
    ),
)
"""Columns of the objects on a detector."""

RAYS = Schema(
    "simulated_rays",
    (
        Column("y", "int32", "pixel", "Row."),
        Column("x", "int32", "pixel", "Column."),
        Column("electrons", "float32", "electron", "Charge that the rays left there."),
    ),
)
"""Columns of the pixels that cosmic rays hit."""


def objects_table(scene: Scene) -> Catalog:
    """List all objects.

    Parameters
    ----------
    scene
        The sky.
    """
    columns: dict[str, npt.NDArray[Any]] = {
        "id": scene.id,
        "kind": scene.kind,
        "ra": scene.ra_deg,
        "dec": scene.dec_deg,
        "pmRa": scene.pm_ra_mas,
        "pmDec": scene.pm_dec_mas,
        "halfLightRadius": scene.half_light_arcsec,
        "g1": scene.g1,
        "g2": scene.g2,
        "amplitude": scene.amplitude_mag,
        "period": scene.period_days,
        "peakMjd": scene.peak_mjd,
        "duration": scene.duration_days,
    }
    columns |= {f"{band}_mag": scene.mags[:, i] for i, band in enumerate(BANDS)}
    return Catalog(OBJECTS, columns)


def placed_table(scene: Scene, drawn: Drawn, shape: tuple[int, int]) -> Catalog:
    """List the objects on a detector and close to it.

    Parameters
    ----------
    scene
        The sky.
    drawn
        What was drawn.
    shape
        Rows and columns of the detector.
    """
    near = (drawn.y > -_MARGIN_PIX) & (drawn.y < shape[0] + _MARGIN_PIX)
    near &= (drawn.x > -_MARGIN_PIX) & (drawn.x < shape[1] + _MARGIN_PIX)
    columns = {
        "id": scene.id[drawn.index],
        "kind": scene.kind[drawn.index],
        "y": drawn.y,
        "x": drawn.x,
        "flux": 10 ** (-0.4 * (drawn.mag - _AB_ZERO_POINT_MAG)),
        "electrons": drawn.flux_electron,
        "psfFwhm": drawn.psf.fwhm_pix,
        "psfA": drawn.psf.a,
        "psfB": drawn.psf.b,
        "psfC": drawn.psf.c,
    }
    return Catalog(PLACED, columns).select(near)


def rays_table(rays: npt.NDArray[np.float32]) -> Catalog:
    """List the pixels that cosmic rays hit.

    Parameters
    ----------
    rays
        Electrons that they left, shape ``(ny, nx)``.
    """
    y, x = np.nonzero(rays)
    return Catalog(RAYS, {"y": y, "x": x, "electrons": rays[y, x]})


def visits_document(survey: Survey) -> Plain:
    """Describe the visits.

    Parameters
    ----------
    survey
        The survey.
    """
    return {
        "preset": survey.preset.name,
        "seed": survey.seed,
        "instrument": survey.camera.name,
        "psf": {"profile": "moffat", "beta": BETA},
        "reference": {"colour_term": COLOUR_TERM, "colour_pivot_mag": COLOUR_PIVOT_MAG},
        "visits": [_visit_document(survey, exposure) for exposure in survey.science()],
    }


def _visit_document(survey: Survey, exposure: Exposure) -> Plain:
    return {
        "visit": exposure.number,
        "band": exposure.band,
        "mid_mjd_utc": exposure.mid_mjd,
        "ra_deg": exposure.ra_deg,
        "dec_deg": exposure.dec_deg,
        "rotation_deg": exposure.rotation_deg,
        "header_ra_deg": exposure.header_ra_deg,
        "header_dec_deg": exposure.header_dec_deg,
        "header_rotation_deg": exposure.header_rotation_deg,
        "seeing_arcsec": exposure.seeing_arcsec,
        "extinction_mag": exposure.extinction_mag,
        "zero_point_mag": exposure.zero_point_mag,
        "sky_electron": exposure.sky_electron,
        "has_fringes": exposure.band == survey.preset.fringe_band,
        "has_trail": exposure.has_trail,
        "misled": [number for visit, number in survey.preset.misled if visit == exposure.number],
        "wcs": {
            str(number): true_wcs(survey, exposure, survey.camera.detector(number)).to_json_dict()
            for number in exposure.detectors
        },
    }


def detector_document(truth: DetectorTruth) -> Plain:
    """Describe a detector.

    Parameters
    ----------
    truth
        The detector.
    """
    return {
        "detector": truth.detector.number,
        "amplifiers": [a.name for a in truth.detector.amplifiers],
        "gain": truth.gain.tolist(),
        "read_noise_electron": truth.read_noise.tolist(),
        "bias_adu": truth.bias_adu.tolist(),
        "nonlinearity_per_adu": truth.nonlinearity.tolist(),
        "crosstalk": truth.crosstalk.tolist(),
        "full_well_electron": truth.full_well,
        "brighter_fatter_kernel": truth.kernel.tolist(),
        "defect_bits": {"DEAD_COLUMN": 1, "HOT_COLUMN": 2, "CLUSTER": 4, "HOT_PIXEL": 8},
    }


def detector_images(truth: DetectorTruth, survey: Survey) -> bytes:
    """Give the images of a detector as a FITS file.

    Parameters
    ----------
    truth
        The detector.
    survey
        Its bands.
    """
    images = {
        f"FLAT_{band}": (flat(truth, survey, band), FLAT_STEP) for band in survey.preset.bands
    }
    images |= {
        "BIAS": (truth.bias, BIAS_STEP),
        "DARK": (truth.dark, DARK_STEP),
        "FRINGE": (truth.fringe, FRINGE_STEP),
        "DEFECTS": (truth.defects.astype(np.float32), 1.0),
    }
    hdus: list[Any] = [fits.PrimaryHDU()]
    hdus += [_steps_hdu(name, image, step) for name, (image, step) in images.items()]
    sink = io.BytesIO()
    fits.HDUList(hdus).writeto(sink)
    return sink.getvalue()


def _steps_hdu(name: str, image: npt.NDArray[np.float32], step: float) -> fits.CompImageHDU:
    """Keep an image as whole numbers of steps; readers see the values."""
    steps = np.rint(image.astype(np.float64) / step).astype(np.int32)
    hdu = fits.CompImageHDU(
        steps, name=name, compression_type="RICE_1", tile_shape=(16, steps.shape[1])
    )
    hdu.header["BSCALE"] = step
    hdu.header["BZERO"] = 0.0
    return hdu
