"""Supernova 2019so in B and V, against what an independent pipeline measured on the same pixels.

That pipeline's PSF fluxes hold the light within some 6 pixels: those of an aperture of that radius
agree with them to a hundredth of a magnitude, those of 12 pixels are 0.09 mag brighter. Its zero
points are of that convention; that of the header is of neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from astropy.table import Table

from lsstpipe.data_model import DataId
from lsstpipe.image.catalog import Catalog
from lsstpipe.image.columns import REFERENCE
from lsstpipe.instruments import get_camera, read_raw
from lsstpipe.tasks import calibrate, isr
from lsstpipe.tasks.base import Json

FloatArray = npt.NDArray[np.float64]

ANDICAM = get_camera("andicam")
MESH_PIX = 64
"""The light of the galaxy is sky to the supernova: meshes of 128 pixels leave 0.07 mag of it."""

DETECTOR_ID = DataId(instrument="andicam", detector=0)
TABLES = {"B": "2019so_fileid05406_B", "V": "2019so_fileid04735_V"}
ZERO_POINT = {"B": 21.209, "V": 20.836}
SUPERNOVA_MAG = {"B": 18.368, "V": 17.143}
EPOCH_YEARS = 2019.09 - 2015.5


@dataclass(frozen=True)
class Band:
    """One band: what we found, what they found, and which of our sources is which of theirs."""

    source: Catalog
    summary: Json
    theirs: Table
    match: npt.NDArray[np.int64]
    found: npt.NDArray[np.bool_]

    def column(self, name: str) -> FloatArray:
        return np.asarray(self.theirs[name], dtype=np.float64)

    @property
    def zero_point(self) -> float:
        """Magnitude of 1 ADU a second."""
        of_electron = self.summary["photometry"]["zero_point_mag"]
        gain, time = ANDICAM.detector(0).gain, self.summary["exposure_time_s"]
        return float(of_electron - 2.5 * np.log10(gain * time))

    @property
    def magnitude(self) -> FloatArray:
        """Our PSF magnitude of each row of their table."""
        return 31.4 - 2.5 * np.log10(self.source["psfFlux"][self.match])


def make_reference(stars: Table, band: str) -> Catalog:
    """Give the stars of known magnitude their places at the epoch of the frame."""
    mag = np.asarray(stars[f"{band}_mag"], dtype=np.float64)
    known = stars[np.isfinite(mag)]
    moved = {
        axis: np.asarray(known[f"pm_{axis}"], dtype=np.float64) * EPOCH_YEARS / 3.6e6
        for axis in ("ra", "dec")
    }
    dec = np.asarray(known["decl"]) + moved["dec"]
    flux = 10 ** (-0.4 * (mag[np.isfinite(mag)] - 31.4))
    error = np.full(len(known), 0.05 / 3600)
    return Catalog(
        REFERENCE,
        {
            "id": np.arange(1, len(known) + 1),
            "ra": np.asarray(known["ra"]) + moved["ra"] / np.cos(np.deg2rad(dec)),
            "dec": dec,
            "raErr": error,
            "decErr": error,
            "flux": flux,
            "fluxErr": 0.03 * flux,
        },
    )


def measure(folder: Path, name: str, config: calibrate.Config) -> Band:
    raw = read_raw(folder / f"SN2019so_20190201_{name}.fits.gz", ANDICAM)
    image = isr.run(isr.Inputs(raw, None, None, None, None), isr.Config(), DETECTOR_ID)
    theirs = Table.read(folder / f"{TABLES[name]}_photometry.ecsv")
    reference = make_reference(theirs[theirs["starid"] > 0], name)
    made = calibrate.run(
        calibrate.Inputs(image.post_isr_image, reference), config, DataId(DETECTOR_ID, visit=1)
    )
    y, x = (np.asarray(theirs[f"pixel_{a}_psf_fit"]) for a in ("row", "column"))
    distance = np.hypot(made.source["y"][:, None] - y, made.source["x"][:, None] - x)
    match = np.nanargmin(distance, axis=0)
    found = distance[match, np.arange(len(y))] < 2
    return Band(made.source, made.visit_detector_summary, theirs, match, found)


@pytest.fixture(scope="module")
def bands(test_data: Path) -> dict[str, Band]:
    # Their aperture; and some forty stars do not tell more of the PSF's variation than a slope.
    config = calibrate.Config(
        pointing_radius_arcmin=0.5, calibration_aperture="ap06", psf_order=1,
        background_mesh_pix=MESH_PIX,
    )  # fmt: skip
    return {name: measure(test_data / "andicam_2019so", name, config) for name in "BV"}


@pytest.mark.parametrize("name", ["B", "V"])
def test_the_zero_point_is_theirs(bands: dict[str, Band], name: str) -> None:
    assert bands[name].zero_point == pytest.approx(ZERO_POINT[name], abs=0.03)


@pytest.mark.parametrize("name", ["B", "V"])
def test_the_supernova_on_its_galaxy_is_as_bright_as_they_find_it(
    bands: dict[str, Band], name: str
) -> None:
    band = bands[name]
    (row,) = np.flatnonzero(band.theirs["starid"] == -1)
    assert band.found[row]
    assert band.magnitude[row] == pytest.approx(SUPERNOVA_MAG[name], abs=0.05)


@pytest.mark.parametrize("name", ["B", "V"])
def test_centroids_are_theirs(bands: dict[str, Band], name: str) -> None:
    band = bands[name]
    stars = band.found & (band.theirs["starid"] > 0)
    dy = (band.source["y"][band.match] - band.column("pixel_row_psf_fit"))[stars]
    dx = (band.source["x"][band.match] - band.column("pixel_column_psf_fit"))[stars]
    assert stars.sum() >= 50
    assert np.hypot(np.median(dy), np.median(dx)) < 0.2
    assert np.quantile(np.hypot(dy, dx), 0.7) < 0.25
    bright = band.column("flux_psf")[stars] > 20
    assert np.median(np.hypot(dy - np.median(dy), dx - np.median(dx))[bright]) < 0.08


@pytest.mark.parametrize("name", ["B", "V"])
def test_fluxes_of_bright_stars_are_theirs(bands: dict[str, Band], name: str) -> None:
    band = bands[name]
    saturated = band.source["pixelFlags_saturated"][band.match]
    bright = band.found & (band.theirs["starid"] > 0) & (band.column("flux_psf") > 20) & ~saturated
    ours = 10 ** (-0.4 * (band.magnitude[bright] - band.zero_point))
    difference = -2.5 * np.log10(ours / band.column("flux_psf")[bright])
    assert bright.sum() >= 20
    assert np.median(difference) == pytest.approx(0.0, abs=0.02)
    assert 1.4826 * np.median(np.abs(difference - np.median(difference))) < 0.03


@pytest.mark.parametrize("name", ["B", "V"])
def test_the_map_fits_the_catalogue_better_than_that_of_the_header(
    bands: dict[str, Band], name: str
) -> None:
    """The header's own residuals are 0.2 arcsec on an axis."""
    astrometry = bands[name].summary["astrometry"]
    assert astrometry["n_matched"] >= 20
    assert astrometry["rms_arcsec"] < 0.05


def test_an_aperture_of_twice_the_size_is_another_convention(test_data: Path) -> None:
    config = calibrate.Config(
        pointing_radius_arcmin=0.5, calibration_aperture="ap12", background_mesh_pix=MESH_PIX
    )
    wide = measure(test_data / "andicam_2019so", "V", config)
    assert wide.zero_point - ZERO_POINT["V"] == pytest.approx(0.085, abs=0.02)
    (row,) = np.flatnonzero(wide.theirs["starid"] == -1)
    assert wide.magnitude[row] == pytest.approx(SUPERNOVA_MAG["V"], abs=0.05)
