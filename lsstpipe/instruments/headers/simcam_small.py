"""Headers of the small simulated camera."""

from __future__ import annotations

from lsstpipe.instruments.headers.simcam import SimcamTranslator


class SimcamSmallTranslator(SimcamTranslator):
    """Translate headers that `lsstpipe.simulate` wrote for the small simulated camera."""

    name = "simcam_small"
    supported_instrument = "simcam_small"


TRANSLATOR = SimcamSmallTranslator
