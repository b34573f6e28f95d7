"""Headers of LATISS."""

from __future__ import annotations

from typing import Any

from lsstpipe.instruments.camera import Header
from lsstpipe.instruments.headers.lsst import LsstTranslator


class LatissTranslator(LsstTranslator):
    """Translate headers of LATISS."""

    name = "latiss"
    supported_instrument = "latiss"
    default_resource_root = None

    _const_map: dict[str, Any] = {  # noqa: RUF012  (declared so in the base)
        "instrument": "latiss",
        "detector_num": 0,
        "detector_name": "S00",
        "detector_group": "RXX",
        "detector_unique_name": "RXX_S00",
    }

    @classmethod
    def can_translate(cls, header: Header, filename: str | None = None) -> bool:
        """Tell whether a header is this camera's; its first name was LSST_ATISS."""
        return str(header.get("INSTRUME", "")).strip() in ("LATISS", "LSST_ATISS")


TRANSLATOR = LatissTranslator
