"""LSSTCam: the 189 science detectors of the focal plane of the Simonyi Survey Telescope.

Rafts and sensors are named by row and column, ``R22_S11`` in the middle, and numbered in the order
of their names. In the coordinates of the data (DVCS) rows are y and columns x. The detectors of the
corner rafts, guiders and half-sized wavefront sensors, are not described.
"""

from __future__ import annotations

from lsstpipe.image.detector import Detector
from lsstpipe.instruments.camera import Camera
from lsstpipe.instruments.lsst_detector import E2V, ITL, make_detector, mosaic

__all__ = ["CAMERA", "make_focal_plane", "mosaic"]

_RAFT_PITCH_PIX, _SENSOR_PITCH_PIX = 12700.0, 4225.0
_CORNERS = {"00", "04", "40", "44"}
_ITL_RAFTS = {"01", "02", "03", "10", "20", "41", "42", "43"}

FILTERS = {"u_24": "u", "g_6": "g", "r_57": "r", "i_39": "i", "z_20": "z", "y_10": "y"}
"""Band of each filter of the camera."""


def make_focal_plane() -> dict[int, Detector]:
    """Describe the science detectors of the focal plane by number."""
    rafts = [f"{y}{x}" for y in range(5) for x in range(5) if f"{y}{x}" not in _CORNERS]
    names = [(raft, f"{y}{x}") for raft in rafts for y in range(3) for x in range(3)]
    return {
        number: make_detector(
            number,
            f"R{raft}_S{sensor}",
            ITL if raft in _ITL_RAFTS else E2V,
            focal_y_pix=_from_centre(raft[0], sensor[0]),
            focal_x_pix=_from_centre(raft[1], sensor[1]),
        )
        for number, (raft, sensor) in enumerate(names)
    }


def _from_centre(raft: str, sensor: str) -> float:
    """Give the distance of a detector from the centre of the field along one axis."""
    return (int(raft) - 2) * _RAFT_PITCH_PIX + (int(sensor) - 1) * _SENSOR_PITCH_PIX


CAMERA = Camera(
    name="lsstcam",
    detectors=make_focal_plane(),
    # The laboratory's flat-field projector has filters of SDSS.
    bands=FILTERS | {f"SDSS{band}": band for band in "ugriz"},
    pixel_scale_arcsec=0.2,
    scale_tolerance=0.01,
)

NUMBERS = {detector.name: number for number, detector in CAMERA.detectors.items()}
"""Number of each detector by its name."""
