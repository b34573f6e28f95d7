"""What each preset observes, with which camera, and how crowded its sky is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lsstpipe.errors import UserError


@dataclass(frozen=True, slots=True)
class Calibrations:
    """How many calibration frames there are a detector.

    Attributes
    ----------
    n_biases, n_darks, n_flats, n_spots
        Frames; flats a band. Spots light one amplifier at a time: crosstalk is measured on them.
    dark_time_s
        Exposure time of the darks, seconds.
    flat_electron
        Level of the flats, electrons.
    ramp_electron
        Levels of the pairs of flats from which photon transfer and linearity are measured, the last
        beyond the full well; they are taken through the first band, and their ``OBJECT`` is ramp.
    spot_electron
        Level in the middle of a spot, electrons; through the first band too.
    """

    n_biases: int = 5
    n_darks: int = 3
    n_flats: int = 5
    n_spots: int = 2
    dark_time_s: float = 300.0
    flat_electron: float = 40000.0
    ramp_electron: tuple[float, ...] = (
        500.0, 2000.0, 5000.0, 10000.0, 20000.0, 35000.0,
        50000.0, 65000.0, 80000.0, 95000.0, 115000.0,
    )  # fmt: skip
    spot_electron: float = 70000.0


@dataclass(frozen=True, slots=True, eq=False)
class Preset:
    """A survey in short.

    Attributes
    ----------
    name, doc
        What it is called, and what it is for in one line.
    camera
        Name of its camera.
    bands
        Bands in the order of observation.
    n_dithers
        Visits of each band on the five-point cross of 60 arcsec, where visits are not listed.
    visits
        Detectors of each visit by number, where they are listed; the first six are of the first
        band and each points the middle of its detectors at the centre of the field.
    centre_deg
        Right ascension and declination of the centre of the field, degrees.
    first_mjd
        Start of the first visit of each band, UTC.
    exposure_time_s
        Open shutter of a visit, seconds.
    stars_per_arcmin2, galaxies_per_arcmin2
        Density of the sky, down to the faintest that are drawn.
    nonlinearity_per_adu
        Share of the signal lost per ADU of signal.
    fringe_band
        Band with fringes; empty for none.
    misled
        Visit and detector whose headers point elsewhere, so that no astrometric solution can be
        right.
    patch_pix, n_patches
        Side of the inner box of a patch, pixels, and patches along each axis of the tract.
    calibrations
        Calibration frames.
    """

    name: str
    doc: str
    camera: str
    bands: tuple[str, ...]
    n_dithers: int = 5
    visits: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    centre_deg: tuple[float, float] = (150.1, 2.2)
    first_mjd: tuple[float, ...] = (60310.2, 60311.2, 60312.2, 60313.2, 60314.2)
    exposure_time_s: float = 60.0
    stars_per_arcmin2: float = 42.0
    galaxies_per_arcmin2: float = 33.0
    nonlinearity_per_adu: float = 2.0e-7
    fringe_band: str = ""
    misled: tuple[tuple[int, int], ...] = ()
    patch_pix: int = 600
    n_patches: int = 2
    calibrations: Calibrations = Calibrations()


_CI_HSC_VISITS = {
    903334: (16, 22, 23, 100),
    903336: (17, 24),
    903338: (18, 25),
    903342: (4, 10, 100),
    903344: (0, 5, 11),
    903346: (1, 6, 12),
    903986: (16, 22, 23, 100),
    903988: (16, 17, 23, 24),
    903990: (18, 25),
    904010: (4, 10, 100),
    904014: (1, 6, 12),
}
"""Visits and detectors of Rubin's ci_hsc_gen3; the first six through r, the others through i."""

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="unit",
            doc="One detector of 512 x 512, 3 visits in one band: seconds.",
            camera="simcam_unit",
            bands=("r",),
            n_dithers=3,
            patch_pix=400,
            n_patches=1,
        ),
        Preset(
            name="ci_small",
            doc="Two detectors of 1024 x 1024, 5 dithered visits in g and r.",
            camera="simcam_small",
            bands=("g", "r"),
            fringe_band="r",
            misled=((4, 1),),
            patch_pix=1000,
        ),
        Preset(
            name="ci_hsc",
            doc="33 raws in HSC's own layout, 11 visits in r and i, one patch.",
            camera="hsc",
            bands=("r", "i"),
            visits=_CI_HSC_VISITS,
            centre_deg=(320.3675, 0.3132),
            first_mjd=(56460.5, 56598.25),
            exposure_time_s=30.0,
            misled=((903344, 0),),
            patch_pix=4000,
            n_patches=1,
            calibrations=Calibrations(
                n_biases=5,
                n_flats=3,
                n_spots=1,
                dark_time_s=600.0,
                flat_electron=60000.0,
                ramp_electron=(2000.0, 20000.0, 60000.0, 100000.0, 150000.0, 220000.0),
            ),
        ),
        Preset(
            name="medium",
            doc="120 raws: four detectors of 2048 x 4096, 6 visits in each of grizy.",
            camera="simcam",
            bands=("g", "r", "i", "z", "y"),
            n_dithers=6,
            fringe_band="y",
            patch_pix=3000,
            n_patches=3,
            calibrations=Calibrations(
                ramp_electron=(1000.0, 5000.0, 20000.0, 50000.0, 80000.0, 95000.0, 115000.0)
            ),
        ),
    )
}
"""Every preset by name, from the smallest to the largest."""


def find_preset(name: str) -> Preset:
    """Look up a preset by name.

    Parameters
    ----------
    name
        Its name.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if name not in PRESETS:
        raise UserError(f"There is no preset '{name}'; there are {', '.join(PRESETS)}.")
    return PRESETS[name]
