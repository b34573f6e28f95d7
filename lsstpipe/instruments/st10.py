"""SBIG ST-10 on a small telescope, binned 2 x 2, as MaxIm DL writes its frames.

Headers have no WCS, no pointing and no overscan. Gain and read noise were measured on the night of
2012-06-17: the photon transfer between successive frames gives 1.28 electrons per ADU (the maker
says 1.3; the header's EGAIN of 0.78 predicts 1.3 times the noise that is there), pairs of darks
give 10.9 ADU. Saturation is the plateau of the brightest stars of that night (59 200 to 60 900
ADU).
"""

from __future__ import annotations

from typing import Any

import astropy.units as u
from astro_metadata_translator import cache_translation
from astropy.coordinates import EarthLocation
from astropy.time import Time

from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import one_amplifier
from lsstpipe.instruments.camera import Camera, Header
from lsstpipe.instruments.plain_header import PlainHeaderTranslator

CAMERA = Camera(
    name="st10",
    detectors={
        0: one_amplifier(
            0,
            "KAF-3200ME",
            Box(0, 0, 736, 1092),
            gain=1.28,
            read_noise=14.0,
            limits=(48000.0, 57000.0),
        )
    },
    bands={"Filter 2": "clear"},
    pixel_scale_arcsec=2.374,
    scale_tolerance=0.02,
)

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
