"""ANDICAM of the 1.3-m telescope at Cerro Tololo, optical channel, frames that are calibrated.

The archive gives frames from which overscan, bias and sky flat were taken by IRAF, trimmed, with a
WCS: nothing of the signature is left to remove, and `isr` only turns ADU into electrons.

Headers name no gain. Neighbouring pixels on sky and galaxy of a V exposure (2019-02-02) have a
variance that rises with the level as 5 electrons per ADU make it, from a read noise of 6.5
electrons, which is what the observatory says; a frame that is the mean of two exposures has less
noise than predicted here. Stars end between 54 000 and 59 000 ADU.
"""

from __future__ import annotations

from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import one_amplifier
from lsstpipe.instruments.camera import Camera

_BOX = Box(0, 0, 994, 904)

CAMERA = Camera(
    name="andicam",
    detectors={
        0: one_amplifier(
            0, "Fairchild 447", _BOX, gain=5.0, read_noise=6.5, limits=(45000.0, 50000.0)
        )
    },
    bands={name: name for name in ("B", "V", "R", "I")},
    pixel_scale_arcsec=0.3706,
    scale_tolerance=0.01,
    is_calibrated=True,
)
