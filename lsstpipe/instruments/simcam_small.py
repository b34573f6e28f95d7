"""The small simulated camera: two detectors of 1024 x 1024 pixels, two amplifiers each."""

from __future__ import annotations

from lsstpipe.instruments.simcam import make_camera

CAMERA = make_camera(
    "simcam_small",
    shape=(1024, 1024),
    amplifiers=(1, 2),
    mosaic=(1, 2),
    cubic_distortion=1e-9,
    fringing="r",
)
