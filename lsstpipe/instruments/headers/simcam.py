"""Headers that `lsstpipe.simulate` writes."""

from __future__ import annotations

from typing import Any

import astropy.units as u
from astro_metadata_translator import StubTranslator, cache_translation
from astropy.coordinates import Angle, EarthLocation, SkyCoord
from astropy.time import Time

from lsstpipe.instruments.camera import Header


class SimcamTranslator(StubTranslator):
    """Translate headers that `lsstpipe.simulate` wrote for the largest simulated camera."""

    name = "simcam"
    supported_instrument = "simcam"
    default_resource_root = None

    _const_map: dict[str, Any] = {  # noqa: RUF012  (declared so in the base)
        "telescope": "simulated",
        "detector_serial": "unknown",
        "detector_group": "",
        "boresight_rotation_coord": "sky",
        "altaz_begin": None,
        "altaz_end": None,
        "relative_humidity": None,
        "pressure": None,
        "temperature": None,
        "science_program": "",
    }
    _trivial_map: dict[str, Any] = {  # noqa: RUF012
        "instrument": "INSTRUME",
        "detector_num": "DETECTOR",
        "exposure_id": "EXPID",
        "visit_id": "EXPID",
        "object": "OBJECT",
        "observation_type": "IMGTYPE",
        "physical_filter": "FILTER",
        "exposure_time": ("EXPTIME", {"unit": u.s}),
        "dark_time": ("DARKTIME", {"unit": u.s}),
        "boresight_airmass": ("AIRMASS", {"default": float("nan")}),
    }

    @classmethod
    def can_translate(cls, header: Header, filename: str | None = None) -> bool:
        """Tell whether a header is this camera's."""
        return str(header.get("INSTRUME", "")) == cls.supported_instrument

    @cache_translation
    def to_datetime_begin(self) -> Time:
        """Start of the exposure, TAI."""
        return Time(self._header["DATE-OBS"], scale="utc", format="isot").tai

    @cache_translation
    def to_datetime_end(self) -> Time:
        """End of the exposure, TAI."""
        return self.to_datetime_begin() + self.to_exposure_time()

    @cache_translation
    def to_tracking_radec(self) -> SkyCoord | None:
        """Where the telescope believes that it looked; calibration frames look nowhere."""
        if "RA" not in self._header:
            return None
        return SkyCoord(self._header["RA"], self._header["DEC"], unit=u.deg, frame="icrs")

    @cache_translation
    def to_boresight_rotation_angle(self) -> Angle | None:
        """Direction of +y of the focal plane, from north through east."""
        return Angle(self._header["ROTPA"] * u.deg) if "ROTPA" in self._header else None

    @cache_translation
    def to_observation_id(self) -> str:
        """Name of the observation."""
        return f"{self._header['INSTRUME']}-{self._header['EXPID']}"

    @cache_translation
    def to_detector_name(self) -> str:
        """Name of the detector."""
        return f"S{self._header['DETECTOR']:02d}"

    to_detector_unique_name = to_detector_name

    @staticmethod
    def to_location() -> EarthLocation | None:
        """Headers do not say where the telescope stands: nowhere."""
        return None


TRANSLATOR = SimcamTranslator
