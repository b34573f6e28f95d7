"""The small simulated camera: two detectors of 1024 x 1024 pixels, two amplifiers each."""

from __future__ import annotations

from lsstpipe.instruments.simcam import SimcamTranslator, make_camera

CAMERA = make_camera(
    "simcam_small",
    shape=(1024, 1024),
    amplifiers=(1, 2),
    mosaic=(1, 2),
    cubic_distortion=1e-9,
    fringing="r",
)


class SimcamSmallTranslator(SimcamTranslator):
    """Translate headers that `lsstpipe.simulate` wrote for the small simulated camera."""

    name = "simcam_small"
    supported_instrument = "simcam_small"


TRANSLATOR = SimcamSmallTranslator
