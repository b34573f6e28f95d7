"""LSSTCam as imSim simulates it: the same focal plane, headers with a pointing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lsstpipe.instruments import lsstcam
from lsstpipe.instruments.camera import Header
from lsstpipe.instruments.lsst_detector import mosaic

__all__ = ["CAMERA", "TRANSLATOR", "mosaic"]

CAMERA = replace(lsstcam.CAMERA, name="lsstcamsim", bands=lsstcam.FILTERS)


class LsstCamSimTranslator(lsstcam.LsstCamTranslator):
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
