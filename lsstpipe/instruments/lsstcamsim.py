"""LSSTCam as imSim simulates it: the same focal plane, headers with a pointing."""

from __future__ import annotations

from dataclasses import replace

from lsstpipe.instruments import lsstcam
from lsstpipe.instruments.lsst_detector import mosaic

__all__ = ["CAMERA", "mosaic"]

CAMERA = replace(lsstcam.CAMERA, name="lsstcamsim", bands=lsstcam.FILTERS)
