"""Headers of the smallest simulated camera."""

from __future__ import annotations

from lsstpipe.instruments.headers.simcam import SimcamTranslator


class SimcamUnitTranslator(SimcamTranslator):
    """Translate headers that `lsstpipe.simulate` wrote for the smallest simulated camera."""

    name = "simcam_unit"
    supported_instrument = "simcam_unit"


TRANSLATOR = SimcamUnitTranslator
