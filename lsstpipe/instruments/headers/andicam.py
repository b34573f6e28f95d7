"""Headers of ANDICAM as the archive gives them."""

from __future__ import annotations

import math
from typing import Any

import astropy.units as u
from astro_metadata_translator import cache_translation
from astropy.coordinates import Angle, EarthLocation, SkyCoord
from astropy.time import Time

from lsstpipe.errors import InputFileError
from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.instruments.andicam import CAMERA
from lsstpipe.instruments.camera import Header
from lsstpipe.instruments.headers.plain import PlainHeaderTranslator

_OBSERVATION_TYPES = {"ZERO": "bias", "BIAS": "bias", "DARK": "dark", "OBJECT": "science"}


class AndicamTranslator(PlainHeaderTranslator):
    """Translate headers of ANDICAM's CCD."""

    name = "andicam"
    supported_instrument = "andicam"

    _const_map: dict[str, Any] = {  # noqa: RUF012  (declared so in the base)
        "instrument": "andicam",
        "telescope": "CTIO 1.3-m",
        "detector_name": "Fairchild 447",
        "detector_unique_name": "Fairchild 447",
        "boresight_rotation_coord": "sky",
    }
    _trivial_map: dict[str, Any] = {  # noqa: RUF012
        "exposure_time": ("EXPTIME", {"unit": u.s}),
        "dark_time": (["DARKTIME", "EXPTIME"], {"unit": u.s}),
        "temperature": ("TELTEMP", {"unit": u.deg_C, "default": float("nan")}),
        "boresight_airmass": ("SECZ", {"default": float("nan")}),
    }

    @classmethod
    def can_translate(cls, header: Header, filename: str | None = None) -> bool:
        """Tell whether a header is this camera's."""
        return str(header.get("INSTRUME", "")).startswith("ANDICAM-CCD")

    @cache_translation
    def to_physical_filter(self) -> str:
        """Filter in the visible channel."""
        return str(self._header.get("CCDFLTID", "none")).strip()

    @cache_translation
    def to_observation_type(self) -> str:
        """Kind of exposure."""
        said = str(self._header["IMAGETYP"]).strip().upper()
        return "flat" if "FLAT" in said else _OBSERVATION_TYPES.get(said, "unknown")

    @cache_translation
    def to_datetime_begin(self) -> Time:
        """Start of the exposure, TAI: date and time are two cards, and MJD-OBS is the day alone."""
        began = f"{str(self._header['DATE-OBS']).strip()}T{str(self._header['TIME-OBS']).strip()}"
        return Time(began, scale="utc", format="isot").tai

    @cache_translation
    def to_exposure_id(self) -> int:
        """Night and number of the frame, as the digits YYMMDDnnnn of ``ccd190201.0107``."""
        digits = "".join(c for c in str(self._header["FILENAME"]) if c.isdigit())
        if len(digits) != 10:
            raise ValueError(f"FILENAME is '{self._header['FILENAME']}', not like ccd190201.0107")
        return int(digits)

    @cache_translation
    def to_tracking_radec(self) -> SkyCoord | None:
        """Centre of the frame by the WCS of the archive, to a fraction of an arcsecond."""
        wcs = self._wcs()
        if wcs is None:
            return None
        ra, dec = wcs.pixel_to_sky(
            y=(CAMERA.detector(0).ny - 1) / 2, x=(CAMERA.detector(0).nx - 1) / 2
        )
        return SkyCoord(float(ra), float(dec), unit=u.deg)

    @cache_translation
    def to_boresight_rotation_angle(self) -> Angle | None:
        """Direction of +y from north through east, of the CD matrix."""
        wcs = self._wcs()
        if wcs is None:
            return None
        (_, east), (_, north) = wcs.cd
        return Angle(math.degrees(math.atan2(east, north)) % 360.0, unit=u.deg)

    def _wcs(self) -> SkyWcs | None:
        """Read the WCS; None where there is none that can be read."""
        try:
            return SkyWcs.from_header(self._header)
        except InputFileError:
            return None

    @staticmethod
    def to_location() -> EarthLocation:
        """Cerro Tololo."""
        return EarthLocation.from_geodetic(-70.815, -30.165, 2215.0)


TRANSLATOR = AndicamTranslator
