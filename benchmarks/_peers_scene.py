"""One simulated detector as its signature has been removed, in the files that each program reads.

The sky, PSF, distortion and reference catalogue are those of `lsstpipe simulate`; the detector is
perfect but for shot noise, read noise, full wells that bleed and, if wanted, cosmic rays: what the
programs are compared in begins where the signature ends.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from lsstpipe.algorithms.saturation import grow_saturated
from lsstpipe.geometry.box import Box
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.columns import REFERENCE
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.image.mask import MaskPlane
from lsstpipe.io.fits import write_exposure
from lsstpipe.io.parquet import write_catalog
from lsstpipe.simulate import survey as surveys
from lsstpipe.simulate._charge_kernel import add_tracks, bleed
from lsstpipe.simulate.atmosphere import BETA, psf_shapes
from lsstpipe.simulate.draw import Drawn, draw_sky, place_objects
from lsstpipe.simulate.optics import true_wcs
from lsstpipe.simulate.presets import find_preset
from lsstpipe.simulate.readout import photons
from lsstpipe.simulate.reference import reference_columns
from lsstpipe.simulate.seeds import random_for
from lsstpipe.simulate.sky import REFERENCE_MJD, make_scene, positions_at

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]

FULL_WELL_ELECTRON = 95_000.0
SATURATED_SHARE = 0.98
_AB_ZERO_POINT_MAG = 31.4
_N_RAYS, _RAY_LENGTH_PIX, _RAY_ELECTRON, _RAY_LEAST_ELECTRON = 300, 8.0, 1500.0, 300.0
_SHIFT_ARCSEC, _TURN_DEG, _STRETCH = 3.0, 0.03, 1.001
_DAYS_PER_YEAR = 365.25


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is true of the detector, one value an object where it is an array.

    Attributes
    ----------
    y, x, ra_deg, dec_deg
        Positions at the time of the exposure.
    flux_electron, flux_njy
        Fluxes.
    is_point
        Stars and transients.
    signal_to_noise
        Of a point source of this flux, measured with the true PSF by itself.
    is_saturated
        Whether the peak of a point reaches the full well.
    wcs
        True map to the sky.
    read_noise, sky
        Electrons in a pixel.
    fwhm_pix
        PSF in the middle.
    shape
        Rows and columns.
    rays
        Electrons that cosmic rays left, of the second image, shape ``(ny, nx)``.
    """

    y: FloatArray
    x: FloatArray
    ra_deg: FloatArray
    dec_deg: FloatArray
    flux_electron: FloatArray
    flux_njy: FloatArray
    is_point: npt.NDArray[np.bool_]
    signal_to_noise: FloatArray
    is_saturated: npt.NDArray[np.bool_]
    wcs: SkyWcs
    read_noise: float
    sky: float
    fwhm_pix: float
    shape: tuple[int, int]
    rays: FloatImage


def write_scene(folder: Path, *, visit: int, detector: int, seed: int) -> Truth:
    """Simulate a detector of the preset ``medium`` and write what the programs read.

    Files: ``clean.fits`` and ``rays.fits``, post-ISR images of lsstpipe; ``pixels.fits`` and
    ``weight.fits``, the first as plain FITS with a linear header that is off by three arcsec;
    ``reference.parquet`` and ``reference.cat``, the catalogue for lsstpipe and for SCAMP.

    Parameters
    ----------
    folder
        Where to write.
    visit, detector, seed
        What to simulate.
    """
    survey = surveys.make_survey(find_preset("medium"), seed)
    exposure = next(e for e in survey.science() if e.number == visit)
    chosen = survey.camera.detector(detector)
    drawn = place_objects(survey, exposure, chosen)
    light = draw_sky(survey, exposure, chosen, drawn)
    rng = random_for("peers", seed, visit, detector)
    clean, rays = _expose(light, chosen.amplifiers[0].read_noise, rng)
    truth = _make_truth(survey, exposure, detector, drawn, rays)
    info = _info(survey, exposure, detector, truth)
    for name, image in (("clean", clean), ("rays", clean + rays)):
        content = write_exposure(_post_isr(image, truth.read_noise, info))
        (folder / f"{name}.fits").write_bytes(content)
    _write_plain(folder, clean, truth)
    reference = _reference(survey, exposure)
    (folder / "reference.parquet").write_bytes(write_catalog(reference))
    write_ldac_reference(folder / "reference.cat", reference, exposure.mid_mjd)
    return truth


def true_stamps(truth_psf: tuple[FloatArray, ...], size: int) -> FloatArray:
    """Draw the true PSF, centred on the middle pixel.

    Parameters
    ----------
    truth_psf
        ``alpha, a, b, c`` of the profile, shapes ``(n,)``.
    size
        Side of the stamps.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, size, size)``; the sum over the plane would be 1.
    """
    alpha, a, b, c = (values[:, None, None] for values in truth_psf)
    half = size // 2
    dy, dx = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    q = (a * dx * dx + 2 * b * dx * dy + c * dy * dy) / alpha**2
    stamps: FloatArray = (BETA - 1) / (np.pi * alpha**2) * (1 + q) ** -BETA
    return stamps


def true_psf(
    *, visit: int, detector: int, seed: int, y: FloatArray, x: FloatArray
) -> tuple[FloatArray, ...]:
    """Give ``alpha, a, b, c`` of the true PSF at positions.

    Parameters
    ----------
    visit, detector, seed
        What was simulated.
    y, x
        Pixels, shape ``(n,)``.
    """
    survey = surveys.make_survey(find_preset("medium"), seed)
    exposure = next(e for e in survey.science() if e.number == visit)
    shapes = psf_shapes(survey, exposure, survey.camera.detector(detector), y=y, x=x)
    return shapes.alpha_pix, shapes.a, shapes.b, shapes.c


def _expose(
    light: FloatImage, read_noise: float, rng: np.random.Generator
) -> tuple[FloatImage, FloatImage]:
    """Collect the light; give the electrons read, and what cosmic rays would have added."""
    charge = photons(light, rng)
    bleed(charge, np.float32(FULL_WELL_ELECTRON))
    charge += np.float32(read_noise) * rng.standard_normal(light.shape, dtype=np.float32)
    tracks = np.stack(
        [
            rng.uniform(0, light.shape[0], _N_RAYS),
            rng.uniform(0, light.shape[1], _N_RAYS),
            rng.uniform(0, 2 * np.pi, _N_RAYS),
            rng.exponential(_RAY_LENGTH_PIX, _N_RAYS),
            _RAY_LEAST_ELECTRON + rng.exponential(_RAY_ELECTRON, _N_RAYS),
        ],
        axis=1,
    )
    rays = np.zeros_like(charge)
    add_tracks(rays, tracks)
    return charge, rays


def _make_truth(
    survey: surveys.Survey,
    exposure: surveys.Exposure,
    detector: int,
    drawn: Drawn,
    rays: FloatImage,
) -> Truth:
    """Collect the truth of the objects and of the detector."""
    chosen = survey.camera.detector(detector)
    scene = make_scene(survey)
    ra, dec = positions_at(scene, exposure.mid_mjd)
    read_noise = chosen.amplifiers[0].read_noise
    alpha = drawn.psf.alpha_pix
    area = np.pi * alpha**2 * (2 * BETA - 1) / (BETA - 1) ** 2
    flux = drawn.flux_electron
    noise = np.sqrt(flux + area * (exposure.sky_electron + read_noise**2))
    peak = flux * (BETA - 1) / (np.pi * alpha**2) + exposure.sky_electron
    is_point = np.isin(scene.kind[drawn.index], (0, 3))
    return Truth(
        y=drawn.y,
        x=drawn.x,
        ra_deg=ra[drawn.index],
        dec_deg=dec[drawn.index],
        flux_electron=flux,
        flux_njy=10 ** (-0.4 * (drawn.mag - _AB_ZERO_POINT_MAG)),
        is_point=is_point,
        signal_to_noise=flux / noise,
        is_saturated=is_point & (peak > 0.9 * FULL_WELL_ELECTRON),
        wcs=true_wcs(survey, exposure, chosen),
        read_noise=read_noise,
        sky=exposure.sky_electron,
        fwhm_pix=exposure.seeing_arcsec / survey.camera.pixel_scale_arcsec,
        shape=(chosen.ny, chosen.nx),
        rays=rays,
    )


def _info(
    survey: surveys.Survey, exposure: surveys.Exposure, detector: int, truth: Truth
) -> ObservationInfo:
    """Say what the header would."""
    ny, nx = truth.shape
    ra, dec = truth.wcs.pixel_to_sky(y=(ny - 1) / 2, x=(nx - 1) / 2)
    return ObservationInfo(
        instrument=survey.camera.name,
        exposure=exposure.number,
        detector=detector,
        physical_filter=exposure.physical_filter,
        band=exposure.band,
        observation_type="science",
        target=exposure.target,
        exposure_time_s=exposure.time_s,
        dark_time_s=exposure.time_s,
        mid_mjd=exposure.mid_mjd,
        ra_deg=float(ra) + exposure.header_ra_deg - exposure.ra_deg,
        dec_deg=float(dec) + exposure.header_dec_deg - exposure.dec_deg,
        airmass=exposure.airmass,
    )


def _post_isr(image: FloatImage, read_noise: float, info: ObservationInfo) -> Exposure:
    """Put an image into the form in which the removal of the signature leaves it."""
    saturated = grow_saturated(image >= SATURATED_SHARE * FULL_WELL_ELECTRON, radius=1)
    return Exposure(
        image=image,
        mask=np.where(saturated, np.int32(MaskPlane.SAT), np.int32(0)),
        variance=(np.maximum(image, 0) + np.float32(read_noise**2)).astype(np.float32),
        box=Box(0, 0, *image.shape),
        unit="electron",
        info=info,
        metadata={"read_noise_electron": read_noise},
    )


def _write_plain(folder: Path, image: FloatImage, truth: Truth) -> None:
    """Write the pixels with a linear header that is a little wrong."""
    ny, nx = truth.shape
    y, x = (ny - 1) / 2, (nx - 1) / 2
    ra, dec = truth.wcs.pixel_to_sky(y=y, x=x)
    turn = math.radians(_TURN_DEG)
    turned = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    # Rows (xi, eta), columns (x, y).
    jacobian = np.asarray(truth.wcs.plane_jacobian(y=y, x=x)).reshape(2, 2)
    cd = _STRETCH * jacobian @ turned
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRPIX1"], header["CRPIX2"] = x + 1, y + 1
    header["CRVAL1"] = float(ra) + _SHIFT_ARCSEC / 3600
    header["CRVAL2"] = float(dec) - _SHIFT_ARCSEC / 3600
    for i in range(2):
        for j in range(2):
            header[f"CD{i + 1}_{j + 1}"] = float(cd[i, j])
    header["CUNIT1"] = header["CUNIT2"] = "deg"
    header["RADESYS"], header["EQUINOX"] = "ICRS", 2000.0
    header["GAIN"], header["SATURATE"] = 1.0, SATURATED_SHARE * FULL_WELL_ELECTRON
    fits.PrimaryHDU(image, header=header).writeto(folder / "pixels.fits", overwrite=True)
    scale = 3600 * math.sqrt(abs(np.linalg.det(jacobian)))
    summary = {"pixel_scale_arcsec": scale, "fwhm_pix": truth.fwhm_pix}
    (folder / "header.json").write_text(json.dumps(summary) + "\n")


def _reference(survey: surveys.Survey, exposure: surveys.Exposure) -> Catalog:
    """Move the reference stars to the time of the exposure, as their listed motions have it.

    Their fluxes are in the band of the exposure: colours are not what is compared.
    """
    scene = make_scene(survey)
    columns = reference_columns(scene, survey.seed)
    years = (exposure.mid_mjd - REFERENCE_MJD) / _DAYS_PER_YEAR
    row = np.searchsorted(scene.id, columns["id"])
    mag = scene.mags[row, "grizy".index(exposure.band)]
    scatter = columns["i_fluxErr"] / columns["i_flux"]
    noise = random_for("peers reference", survey.seed).standard_normal(len(row))
    flux = 10 ** (-0.4 * (mag - _AB_ZERO_POINT_MAG)) * (1 + scatter * noise)
    error = np.degrees(np.hypot(columns["coord_raErr"], years * columns["pm_raErr"]))
    return Catalog(
        REFERENCE,
        {
            "id": columns["id"],
            "ra": np.degrees(
                columns["coord_ra"] + years * columns["pm_ra"] / np.cos(columns["coord_dec"])
            ),
            "dec": np.degrees(columns["coord_dec"] + years * columns["pm_dec"]),
            "raErr": error,
            "decErr": error,
            "flux": flux,
            "fluxErr": flux * scatter,
        },
    )


def write_ldac_reference(path: Path, reference: Catalog, mjd: float) -> None:
    """Write a reference catalogue in the form that SCAMP reads.

    Parameters
    ----------
    path
        File to write.
    reference
        The stars.
    mjd
        Epoch of their positions.
    """
    n = len(reference)
    error = np.float32(reference["raErr"])
    columns = {
        "X_WORLD": ("1D", reference["ra"]),
        "Y_WORLD": ("1D", reference["dec"]),
        "ERRA_WORLD": ("1E", error),
        "ERRB_WORLD": ("1E", error),
        "ERRTHETA_WORLD": ("1E", np.zeros(n)),
        "MAG": ("1E", _AB_ZERO_POINT_MAG - 2.5 * np.log10(reference["flux"])),
        "MAGERR": ("1E", np.full(n, 0.005)),
        "OBSDATE": ("1D", np.full(n, 2000.0 + (mjd - 51544.5) / _DAYS_PER_YEAR)),
    }
    objects = fits.BinTableHDU.from_columns(
        [fits.Column(name, form, array=values) for name, (form, values) in columns.items()],
        name="LDAC_OBJECTS",
    )
    text = fits.PrimaryHDU().header.tostring()
    card = fits.Column("Field Header Card", f"{len(text)}A", array=[text])
    header = fits.BinTableHDU.from_columns([card], name="LDAC_IMHEAD")
    fits.HDUList([fits.PrimaryHDU(), header, objects]).writeto(path, overwrite=True)
