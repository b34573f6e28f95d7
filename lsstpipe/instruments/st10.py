"""SBIG ST-10 on a small telescope, binned 2 x 2, as MaxIm DL writes its frames.

Headers have no WCS, no pointing and no overscan. Gain and read noise were measured on the night of
2012-06-17: the photon transfer between successive frames gives 1.28 electrons per ADU (the maker
says 1.3; the header's EGAIN of 0.78 predicts 1.3 times the noise that is there), pairs of darks
give 10.9 ADU. Saturation is the plateau of the brightest stars of that night (59 200 to 60 900
ADU).
"""

from __future__ import annotations

from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import one_amplifier
from lsstpipe.instruments.camera import Camera

CAMERA = Camera(
    name="st10",
    detectors={
        0: one_amplifier(
            0,
            "KAF-3200ME",
            Box(0, 0, 736, 1092),
            gain=1.28,
            read_noise=14.0,
            limits=(48000.0, 57000.0),
        )
    },
    bands={"Filter 2": "clear"},
    pixel_scale_arcsec=2.374,
    scale_tolerance=0.02,
)
