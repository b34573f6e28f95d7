"""LATISS, the spectrograph and imager of Rubin's auxiliary telescope: one ITL detector."""

from __future__ import annotations

from lsstpipe.instruments.camera import Camera
from lsstpipe.instruments.lsst_detector import ITL, make_detector, mosaic

__all__ = ["CAMERA", "mosaic"]

CAMERA = Camera(
    name="latiss",
    detectors={0: make_detector(0, "RXX_S00", ITL)},
    bands={"SDSSg_65mm": "g", "SDSSr_65mm": "r", "SDSSi_65mm": "i", "SDSSz_65mm": "z"},
    pixel_scale_arcsec=0.0955,
    scale_tolerance=0.02,
)
