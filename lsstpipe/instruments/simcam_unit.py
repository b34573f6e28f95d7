"""The smallest simulated camera: one detector of 512 x 512 pixels with two amplifiers."""

from __future__ import annotations

from lsstpipe.instruments.simcam import make_camera

CAMERA = make_camera(
    "simcam_unit",
    shape=(512, 512),
    amplifiers=(1, 2),
    mosaic=(1, 1),
    cubic_distortion=1e-9,
    fringing="y",
)
