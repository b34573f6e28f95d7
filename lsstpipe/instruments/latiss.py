"""LATISS, the spectrograph and imager of Rubin's auxiliary telescope: one ITL detector."""

from __future__ import annotations

from typing import Any

from lsstpipe.instruments.camera import Camera, Header
from lsstpipe.instruments.lsst_detector import ITL, make_detector, mosaic
from lsstpipe.instruments.lsst_header import LsstTranslator

__all__ = ["CAMERA", "TRANSLATOR", "mosaic"]

CAMERA = Camera(
    name="latiss",
    detectors={0: make_detector(0, "RXX_S00", ITL)},
    bands={"SDSSg_65mm": "g", "SDSSr_65mm": "r", "SDSSi_65mm": "i", "SDSSz_65mm": "z"},
    pixel_scale_arcsec=0.0955,
    scale_tolerance=0.02,
)


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
