"""Headers of LSSTCam."""

from __future__ import annotations

from typing import Any

from astro_metadata_translator import cache_translation

from lsstpipe.instruments.camera import Header
from lsstpipe.instruments.headers.lsst import LsstTranslator
from lsstpipe.instruments.lsstcam import NUMBERS


class LsstCamTranslator(LsstTranslator):
    """Translate headers of LSSTCam."""

    name = "lsstcam"
    supported_instrument = "lsstcam"
    default_resource_root = None

    _const_map: dict[str, Any] = {"instrument": "lsstcam"}  # noqa: RUF012  (declared so in the base)

    @classmethod
    def can_translate(cls, header: Header, filename: str | None = None) -> bool:
        """Tell whether a header is this camera's; it was spelled lsstCam in the laboratory."""
        return str(header.get("INSTRUME", "")).strip().lower() == "lsstcam"

    @cache_translation
    def to_detector_group(self) -> str:
        """Raft."""
        return str(self._header["RAFTBAY"]).strip()

    @cache_translation
    def to_detector_name(self) -> str:
        """Sensor within its raft."""
        return str(self._header["CCDSLOT"]).strip()

    @cache_translation
    def to_detector_unique_name(self) -> str:
        """Raft and sensor."""
        return f"{self.to_detector_group()}_{self.to_detector_name()}"

    @cache_translation
    def to_detector_num(self) -> int:
        """Place in the order of names."""
        name = self.to_detector_unique_name()
        if name not in NUMBERS:
            raise ValueError(f"{name} is none of the {len(NUMBERS)} science detectors")
        return NUMBERS[name]


TRANSLATOR = LsstCamTranslator
