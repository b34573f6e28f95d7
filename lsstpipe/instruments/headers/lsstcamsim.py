"""Headers of LSSTCam as imSim simulates it."""

from __future__ import annotations

from typing import Any

from lsstpipe.instruments.camera import Header
from lsstpipe.instruments.headers.lsstcam import LsstCamTranslator


class LsstCamSimTranslator(LsstCamTranslator):
    """Translate headers of imSim."""

    name = "lsstcamsim"
    supported_instrument = "lsstcamsim"
    default_resource_root = None

    _const_map: dict[str, Any] = {"instrument": "lsstcamsim"}  # noqa: RUF012  (declared so in the base)

    @classmethod
    def can_translate(cls, header: Header, filename: str | None = None) -> bool:
        """Tell whether a header is this camera's."""
        return str(header.get("INSTRUME", "")).strip() == "LSSTCamSim"


TRANSLATOR = LsstCamSimTranslator
