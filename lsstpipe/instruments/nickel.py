"""Direct camera of the Nickel 1-m telescope of Lick Observatory: Loral CCD, binned 2 x 2.

One amplifier; the last 32 columns of a frame are overscan (COVER; there is no BIASSEC). Headers are
filled in by hand or not at all: biases are of OBSTYPE DARK or OBJECT, flats of OBSTYPE OBJECT, so
that only OBJECT tells what they are; GAIN is an index of the electronics and no gain.

Measured on the night of 2024-05-13: the three sky flats in V have a photon transfer of 1.79
electrons per ADU (pairs: 1.788, 1.791, 1.786, each to 0.005), the ten biases a read noise of 5.2
ADU, and a star that saturates rises to the end of the converter.
"""

from __future__ import annotations

from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.instruments.camera import Camera

_NY, _NX, _N_OVERSCAN = 1024, 1024, 32
_GAIN = 1.79
_READ_NOISE_ADU = 5.2
_DATA = Box(0, 0, _NY, _NX)

CAMERA = Camera(
    name="nickel",
    detectors={
        0: Detector(
            number=0,
            name="Loral 2Kx2K",
            ny=_NY,
            nx=_NX,
            amplifiers=(
                Amplifier(
                    name="1",
                    box=_DATA,
                    data=_DATA,
                    gain=_GAIN,
                    read_noise=_READ_NOISE_ADU * _GAIN,
                    saturation_adu=65000.0,
                    suspect_adu=60000.0,
                    serial_overscan=Box(0, _NX, _NY, _N_OVERSCAN),
                ),
            ),
            raw_ny=_NY,
            raw_nx=_NX + _N_OVERSCAN,
        )
    },
    bands={name: name for name in ("B", "V", "R", "I")},
    pixel_scale_arcsec=0.3701,
    scale_tolerance=0.01,
    is_mirrored=True,
)
