"""Headers of the Nickel direct camera, filled in by hand or not at all."""

from __future__ import annotations

import math
from typing import Any

import astropy.units as u
from astro_metadata_translator import cache_translation
from astropy.coordinates import Angle, EarthLocation, SkyCoord
from astropy.time import Time

from lsstpipe.instruments.camera import Header
from lsstpipe.instruments.headers.plain import PlainHeaderTranslator

_KINDS = (("bias", "bias"), ("flat", "flat"), ("focus", "focus"), ("dark", "dark"))
"""Words in OBJECT by which observers say what an exposure is, and what it is then."""


class NickelTranslator(PlainHeaderTranslator):
    """Translate headers of the Nickel direct camera."""

    name = "nickel"
    supported_instrument = "nickel"

    _const_map: dict[str, Any] = {  # noqa: RUF012  (declared so in the base)
        "instrument": "nickel",
        "telescope": "Nickel 1-m",
        "detector_name": "Loral 2Kx2K",
        "detector_unique_name": "Loral 2Kx2K",
        "boresight_rotation_coord": "sky",
    }
    _trivial_map: dict[str, Any] = {  # noqa: RUF012
        "exposure_time": ("EXPTIME", {"unit": u.s}),
        "dark_time": ("EXPTIME", {"unit": u.s}),
        "temperature": ("TEMPDET", {"unit": u.deg_C, "default": float("nan")}),
        "boresight_airmass": ("AIRMASS", {"default": float("nan")}),
    }

    @classmethod
    def can_translate(cls, header: Header, filename: str | None = None) -> bool:
        """Tell whether a header is this camera's."""
        return str(header.get("INSTRUME", "")).startswith("Nickel Direct")

    @cache_translation
    def to_physical_filter(self) -> str:
        """Filter in the beam; that of a bias means nothing."""
        return str(self._header.get("FILTNAM", "none")).strip()

    @cache_translation
    def to_observation_type(self) -> str:
        """Kind of exposure: by what OBJECT says, else by OBSTYPE and exposure time."""
        said = self.to_object().lower()
        for word, kind in _KINDS:
            if word in said:
                return kind
        if str(self._header["OBSTYPE"]).strip() == "DARK":
            return "bias" if float(self._header["EXPTIME"]) == 0 else "dark"
        return "science"

    @cache_translation
    def to_datetime_begin(self) -> Time:
        """Start of the exposure, TAI."""
        return Time(self._header["DATE-BEG"], scale="utc", format="isot").tai

    @cache_translation
    def to_exposure_id(self) -> int:
        """Date in UTC and number within the night, as the digits YYMMDDnnnn."""
        begin = Time(self._header["DATE-BEG"], scale="utc", format="isot").to_datetime()
        return int(begin.strftime("%y%m%d")) * 10000 + int(self._header["OBSNUM"])

    @cache_translation
    def to_tracking_radec(self) -> SkyCoord | None:
        """Where the telescope says that it looks: off by up to half an arcminute."""
        try:
            return SkyCoord(self._header["RA"], self._header["DEC"], unit=(u.hourangle, u.deg))
        except (KeyError, ValueError):
            return None  # the frame is as good without

    @cache_translation
    def to_boresight_rotation_angle(self) -> Angle | None:
        """Direction of +y from north through east, of the CD matrix."""
        if "CD1_2" not in self._header or "CD2_2" not in self._header:
            return None
        east, north = float(self._header["CD1_2"]), float(self._header["CD2_2"])
        return Angle(math.degrees(math.atan2(east, north)) % 360.0, unit=u.deg)

    @staticmethod
    def to_location() -> EarthLocation:
        """Lick Observatory."""
        return EarthLocation.from_geodetic(-121.6429, 37.3414, 1283.0)


TRANSLATOR = NickelTranslator
