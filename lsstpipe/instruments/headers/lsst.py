"""Headers of Rubin's cameras in lsstpipe's terms."""

from __future__ import annotations

from typing import Any

import astropy.units as u
from astro_metadata_translator import StubTranslator, cache_translation
from astropy.coordinates import Angle, EarthLocation, SkyCoord
from astropy.time import Time

CONTROLLERS = "OCHPQS"
"""Who commanded an exposure: the telescope, the camera alone, ..., a simulation."""

_OBSERVATION_TYPES = {
    "BIAS": "bias",
    "DARK": "dark",
    "FLAT": "flat",
    "OBJECT": "science",
    "SCIENCE": "science",
    "SKYEXP": "science",
    "ACQ": "science",
}


class LsstTranslator(StubTranslator):
    """What the headers of all of Rubin's cameras have in common."""

    _const_map: dict[str, Any] = {  # noqa: RUF012  (declared so in the base)
        "detector_exposure_id": 0,
        "boresight_rotation_coord": "sky",
        "altaz_begin": None,
        "altaz_end": None,
        "relative_humidity": None,
        "pressure": None,
        "science_program": "",
    }
    _trivial_map: dict[str, Any] = {  # noqa: RUF012
        "exposure_time": ("EXPTIME", {"unit": u.s}),
        "dark_time": (["DARKTIME", "EXPTIME"], {"unit": u.s}),
        "temperature": ("CCDTEMP", {"unit": u.deg_C, "default": float("nan")}),
        "boresight_airmass": ("AMSTART", {"default": float("nan")}),
        "detector_serial": ("LSST_NUM", {"default": "unknown"}),
        "telescope": ("TELESCOP", {"default": "unknown"}),
    }

    @cache_translation
    def to_object(self) -> str:
        """Name of the target; empty where there is none."""
        return str(self._header.get("OBJECT", "")).strip()

    @cache_translation
    def to_physical_filter(self) -> str:
        """Filter; none in the early days of a camera."""
        return str(self._header.get("FILTER", "none")).strip()

    @cache_translation
    def to_observation_type(self) -> str:
        """Kind of exposure; unknown in headers that do not say it."""
        said = str(self._header.get("IMGTYPE", "")).strip().upper()
        return _OBSERVATION_TYPES.get(said, "unknown")

    @cache_translation
    def to_datetime_begin(self) -> Time:
        """Start of the exposure, TAI; headers of the laboratory are in UTC."""
        scale = str(self._header.get("TIMESYS", "UTC")).strip().lower()
        began = self._header.get("DATE-BEG") or self._header["DATE-OBS"]
        return Time(began, scale=scale, format="isot").tai

    @cache_translation
    def to_datetime_end(self) -> Time:
        """End of the exposure, TAI."""
        return self.to_datetime_begin() + self.to_exposure_time()

    @cache_translation
    def to_exposure_id(self) -> int:
        """Day and number, a thousand years later for each controller after the first."""
        day, number = int(self._header["DAYOBS"]), int(self._header["SEQNUM"])
        controller = CONTROLLERS.index(str(self._header["CONTRLLR"]).strip())
        return (day + controller * 10_000_000) * 100_000 + number

    to_visit_id = to_exposure_id

    @cache_translation
    def to_observation_id(self) -> str:
        """Name of the observation."""
        return str(self._header.get("OBSID", self.to_exposure_id())).strip()

    @cache_translation
    def to_tracking_radec(self) -> SkyCoord | None:
        """Centre of the field; None in the laboratory."""
        if "RA" not in self._header or "DEC" not in self._header:
            return None
        return SkyCoord(self._header["RA"], self._header["DEC"], unit=u.deg)

    @cache_translation
    def to_boresight_rotation_angle(self) -> Angle | None:
        """Direction of +y of the focal plane from north through east; None in the laboratory."""
        if "ROTPA" not in self._header:
            return None
        return Angle(float(self._header["ROTPA"]), unit=u.deg)

    @staticmethod
    def to_location() -> EarthLocation:
        """Cerro Pachón."""
        return EarthLocation.from_geodetic(-70.749417, -30.244639, 2663.0)
