"""Headers that MaxIm DL writes for an SBIG ST-10."""

from __future__ import annotations

from typing import Any

import astropy.units as u
from astro_metadata_translator import cache_translation
from astropy.coordinates import EarthLocation
from astropy.time import Time

from lsstpipe.instruments.camera import Header
from lsstpipe.instruments.headers.plain import PlainHeaderTranslator

_OBSERVATION_TYPES = {
    "Bias Frame": "bias",
    "Dark Frame": "dark",
    "Flat Field": "flat",
    "Light Frame": "science",
}


class St10Translator(PlainHeaderTranslator):
    """Translate headers that MaxIm DL wrote for an SBIG ST-10."""

    name = "st10"
    supported_instrument = "st10"

    _const_map: dict[str, Any] = {  # noqa: RUF012  (declared so in the base)
        "instrument": "st10",
        "telescope": "unknown",
        "detector_name": "KAF-3200ME",
        "detector_unique_name": "KAF-3200ME",
        "boresight_rotation_angle": None,
        "boresight_rotation_coord": "unknown",
        "tracking_radec": None,
    }
    _trivial_map: dict[str, Any] = {  # noqa: RUF012
        "exposure_time": ("EXPTIME", {"unit": u.s}),
        "dark_time": ("EXPTIME", {"unit": u.s}),
        "temperature": ("CCD-TEMP", {"unit": u.deg_C, "default": float("nan")}),
        "boresight_airmass": ("AIRMASS", {"default": float("nan")}),
    }

    @classmethod
    def can_translate(cls, header: Header, filename: str | None = None) -> bool:
        """Tell whether a header is this camera's."""
        return str(header.get("INSTRUME", "")).startswith("SBIG ST-10")

    @cache_translation
    def to_physical_filter(self) -> str:
        """Filter; darks have none."""
        return str(self._header.get("FILTER", "none")).strip()

    @cache_translation
    def to_observation_type(self) -> str:
        """Kind of exposure."""
        return _OBSERVATION_TYPES.get(str(self._header["IMAGETYP"]).strip(), "unknown")

    @cache_translation
    def to_datetime_begin(self) -> Time:
        """Start of the exposure, TAI."""
        return Time(self._header["DATE-OBS"], scale="utc", format="isot").tai

    @cache_translation
    def to_exposure_id(self) -> int:
        """Start of the exposure in UTC as the digits YYMMDDhhmmss: the headers number nothing."""
        begin = Time(self._header["DATE-OBS"], scale="utc", format="isot").to_datetime()
        return int(begin.strftime("%y%m%d%H%M%S"))

    @staticmethod
    def to_location() -> EarthLocation | None:
        """Headers do not say where the telescope stands."""
        return None


TRANSLATOR = St10Translator
