"""What the headers of small cameras have in common: one detector, and little besides the frame."""

from __future__ import annotations

from typing import Any

from astro_metadata_translator import StubTranslator, cache_translation
from astropy.time import Time


class PlainHeaderTranslator(StubTranslator):
    """Base of the translators of cameras with one detector, which add what their headers say."""

    default_resource_root = None

    _const_map: dict[str, Any] = {  # noqa: RUF012  (declared so in the base)
        "detector_num": 0,
        "detector_serial": "unknown",
        "detector_group": "",
        "detector_exposure_id": 0,
        "altaz_begin": None,
        "altaz_end": None,
        "relative_humidity": None,
        "pressure": None,
        "science_program": "",
    }

    @cache_translation
    def to_object(self) -> str:
        """Name of the target; empty where the observer left it so."""
        return str(self._header.get("OBJECT", "")).strip()

    @cache_translation
    def to_datetime_end(self) -> Time:
        """End of the exposure, TAI."""
        return self.to_datetime_begin() + self.to_exposure_time()

    @cache_translation
    def to_visit_id(self) -> int:
        """Give the number of the exposure: each is a visit."""
        number: int = self.to_exposure_id()
        return number

    @cache_translation
    def to_observation_id(self) -> str:
        """Name of the observation."""
        return f"{self.name}-{self.to_exposure_id()}"
