"""SExtractor, PSFEx and SCAMP on the pixels of the comparison, and what they wrote.

Bertin & Arnouts (1996, A&AS 117, 393), Bertin (2011, ASPC 442, 435), Bertin (2006, ASPC 351, 112).
The settings are those that served each program best on simulated fields: a matched Gaussian as the
filter, single pixels above the threshold, PSFs on pixels of the image's own scale.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.wcs import WCS
from scipy.ndimage import map_coordinates, spline_filter
from scipy.spatial import cKDTree

FloatArray = npt.NDArray[np.float64]

PROGRAMS = ("source-extractor", "psfex", "scamp")
STAMP = 45
APERTURES = (6.0, 12.0, 24.0)
"""Diameters, pixels."""
_SAME_PIX = 1.0

_POSITIONS = (
    "X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE", "ERRAWIN_IMAGE", "ERRBWIN_IMAGE",
    "ERRTHETAWIN_IMAGE", "FLAGS", "FLUX_AUTO", "FLUXERR_AUTO", "FLUX_RADIUS", "SNR_WIN",
)  # fmt: skip
_LDAC = (
    *_POSITIONS, "ELONGATION", "FLAGS_WEIGHT", "ALPHA_J2000", "DELTA_J2000", "FLUX_APER(1)",
    "FLUXERR_APER(1)", f"VIGNET({STAMP},{STAMP})",
)  # fmt: skip
_PHOTOMETRY = (
    *_POSITIONS, f"FLUX_APER({len(APERTURES)})", f"FLUXERR_APER({len(APERTURES)})", "XPSF_IMAGE",
    "YPSF_IMAGE", "FLUX_PSF", "FLUXERR_PSF",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setup:
    """Where the programs work and on what.

    Attributes
    ----------
    folder
        Holds ``pixels.fits`` and ``reference.cat``; everything is written there.
    fwhm_pix, scale_arcsec
        Width of the PSF and size of a pixel, as they are told.
    """

    folder: Path
    fwhm_pix: float
    scale_arcsec: float

    def prepare(self) -> None:
        """Write the lists of columns and the filter."""
        half = max(3, round(1.3 * self.fwhm_pix))
        sigma = self.fwhm_pix / math.sqrt(8 * math.log(2))
        y, x = np.mgrid[-half : half + 1, -half : half + 1]
        kernel = np.exp(-0.5 * (x * x + y * y) / sigma**2)
        rows = [" ".join(f"{value:.6f}" for value in row) for row in kernel]
        (self.folder / "matched.conv").write_text("CONV NORM\n" + "\n".join(rows) + "\n")
        for name, columns in (
            ("positions", _POSITIONS),
            ("ldac", _LDAC),
            ("photometry", _PHOTOMETRY),
        ):
            (self.folder / f"{name}.param").write_text("\n".join(columns) + "\n")

    def filtered_noise(self) -> float:
        """Give the noise after the filter as a share of that of a pixel."""
        lines = (self.folder / "matched.conv").read_text().splitlines()[1:]
        kernel = np.array([[float(value) for value in line.split()] for line in lines])
        return float(np.sqrt((kernel**2).sum()) / kernel.sum())

    def extract(self, columns: str, n_sigma: float, catalog: str) -> list[str]:
        """Give the command of SExtractor.

        Parameters
        ----------
        columns
            ``positions``, ``ldac`` or ``photometry``.
        n_sigma
            Threshold after the filter, in standard deviations.
        catalog
            File to write; LDAC if its name ends with ``.cat``.
        """
        threshold = f"{n_sigma * self.filtered_noise():.5f}"
        options = {
            "CATALOG_NAME": catalog,
            "CATALOG_TYPE": "FITS_LDAC" if catalog.endswith(".cat") else "FITS_1.0",
            "PARAMETERS_NAME": f"{columns}.param",
            "FILTER_NAME": "matched.conv",
            "DETECT_THRESH": threshold,
            "ANALYSIS_THRESH": threshold,
            "DETECT_MINAREA": "1",
            "BACK_SIZE": "128",
            "SEEING_FWHM": f"{self.fwhm_pix * self.scale_arcsec:.3f}",
            "PIXEL_SCALE": f"{self.scale_arcsec:.5f}",
            "GAIN_KEY": "GAIN",
            "SATUR_KEY": "SATURATE",
            "PHOT_APERTURES": ",".join(f"{value:g}" for value in APERTURES),
            "VERBOSE_TYPE": "QUIET",
        }
        if columns == "ldac":
            options["PHOT_APERTURES"] = "24"
        if columns == "photometry":
            options["PSF_NAME"] = "stars.psf"
        return _command("source-extractor", "pixels.fits", options)

    def model_psf(self, sampling: float, catalog: str = "stars.cat") -> list[str]:
        """Give the command of PSFEx.

        Parameters
        ----------
        sampling
            Step of the model in pixels; 0 lets it choose.
        catalog
            Stars to model; those of ``same.cat`` are taken as they are.
        """
        options = {
            "PSFVAR_DEGREES": "2",
            "PSF_SIZE": "45,45" if sampling == 0 else "61,61",
            "PSF_SAMPLING": f"{sampling:g}",
            "BASIS_TYPE": "PIXEL_AUTO",
            "SAMPLE_FWHMRANGE": "2,8",
            "SAMPLE_MINSN": "50",
            "SAMPLE_MAXELLIP": "0.2",
            "CHECKIMAGE_TYPE": "NONE",
            "CHECKPLOT_TYPE": "NONE",
            "CHECKPLOT_DEV": "NULL",
            "WRITE_XML": "N",
            "NTHREADS": "1",
            "VERBOSE_TYPE": "QUIET",
        }
        if catalog == "same.cat":
            options |= {"SAMPLE_MINSN": "1", "SAMPLE_AUTOSELECT": "N", "SAMPLE_FWHMRANGE": "1,20"}
        return _command("psfex", catalog, options)

    def keep_stars(self, y: FloatArray, x: FloatArray) -> int:
        """Write ``same.cat``, the rows of ``stars.cat`` at some positions; count them.

        Parameters
        ----------
        y, x
            Pixels from 0, shape ``(n,)``.
        """
        with fits.open(self.folder / "stars.cat") as hdus:
            table = hdus["LDAC_OBJECTS"].data
            place = np.stack([table["YWIN_IMAGE"], table["XWIN_IMAGE"]], axis=1) - 1.0
            distance, row = cKDTree(place).query(np.stack([y, x], axis=1))
            rows = np.unique(row[distance < _SAME_PIX])
            hdus["LDAC_OBJECTS"].data = table[rows]
            hdus.writeto(self.folder / "same.cat", overwrite=True)
        return len(rows)

    def solve(self, *, is_matching: bool) -> list[str]:
        """Give the command of SCAMP.

        Parameters
        ----------
        is_matching
            Whether it searches for the pointing, or relies on the header within eight arcsec.
        """
        options = {
            "ASTREF_CATALOG": "FILE",
            "ASTREFCAT_NAME": "reference.cat",
            "ASTREFCENT_KEYS": "X_WORLD,Y_WORLD",
            "ASTREFERR_KEYS": "ERRA_WORLD,ERRB_WORLD,ERRTHETA_WORLD",
            "ASTREFMAG_KEY": "MAG",
            "ASTREFMAGERR_KEY": "MAGERR",
            "ASTREFOBSDATE_KEY": "OBSDATE",
            "DISTORT_DEGREES": "3",
            "POSITION_MAXERR": "1",
            "PIXSCALE_MAXERR": "1.05",
            "POSANGLE_MAXERR": "1",
            "CROSSID_RADIUS": "1.5" if is_matching else "8",
            "MATCH": "Y" if is_matching else "N",
            "STABILITY_TYPE": "EXPOSURE",
            "SN_THRESHOLDS": "20,100",
            "FWHM_THRESHOLDS": "0,100",
            "CHECKPLOT_TYPE": "NONE",
            "CHECKPLOT_DEV": "NULL",
            "WRITE_XML": "N",
            "NTHREADS": "1",
            "VERBOSE_TYPE": "QUIET",
        }
        return _command("scamp", "stars.cat", options)


def missing_programs() -> list[str]:
    """List the programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def _command(program: str, argument: str, options: dict[str, str]) -> list[str]:
    """Put a command line together; the programs' defaults hold for what is not said."""
    empty = "/dev/null"
    said = [part for key, value in options.items() for part in (f"-{key}", value)]
    return [program, argument, "-c", empty, *said]


def read_solution(path: Path, shape: tuple[int, int]) -> WCS:
    """Read the header that SCAMP wrote.

    Parameters
    ----------
    path
        The file.
    shape
        Rows and columns.
    """
    header = fits.Header()
    lines = path.read_bytes().decode("latin1").splitlines()
    for line in lines:
        if line.startswith(("COMMENT", "HISTORY", "END")):
            continue
        header.append(fits.Card.fromstring(line))
    # SCAMP's TAN with PV terms is what is now called TPV.
    header["CTYPE1"], header["CTYPE2"] = "RA---TPV", "DEC--TPV"
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, shape[1], shape[0]
    return WCS(header)


def psfex_stamps(path: Path, *, y: FloatArray, x: FloatArray, size: int) -> FloatArray:
    """Draw PSFEx's model, centred on the middle pixel.

    Parameters
    ----------
    path
        The ``.psf`` file.
    y, x
        Positions, pixels from 0, shape ``(n,)``.
    size
        Side of the stamps.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, size, size)``, each of sum 1.
    """
    with fits.open(path) as hdus:
        header, parts = hdus[1].header, np.array(hdus[1].data["PSF_MASK"][0], dtype=np.float64)
    step, degree = header["PSF_SAMP"], header["POLDEG1"]
    u = (x + 1 - header["POLZERO1"]) / header["POLSCAL1"]
    v = (y + 1 - header["POLZERO2"]) / header["POLSCAL2"]
    terms = [u**i * v**j for j in range(degree + 1) for i in range(degree + 1 - j)]
    half = size // 2
    offset = np.arange(-half, half + 1) / step + (parts.shape[1] - 1) / 2
    grid = np.meshgrid(offset, offset, indexing="ij")
    basis = []
    for part in parts:
        spline = spline_filter(part, order=5, mode="constant")
        basis.append(
            map_coordinates(spline, grid, order=5, mode="constant", prefilter=False)
            if step != 1
            else map_coordinates(part, grid, order=0)
        )
    stamps = np.tensordot(np.stack(terms, axis=1), np.stack(basis), axes=1)
    scaled: FloatArray = stamps / stamps.sum(axis=(1, 2), keepdims=True)
    return scaled
