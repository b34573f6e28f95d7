"""Where the light of each detector comes from: projection, distortion, the detector's own errors.

The true map is a TAN projection at the centre of the field with a distortion that is radial about
it, ``sky = f (1 + k f**2)`` with f the distance on the focal plane, and on each detector a shift, a
turn and a bend of second degree: a TAN-SIP of third degree, exactly.
"""

from __future__ import annotations

import math

import numpy as np

from lsstpipe.geometry.wcs import SkyWcs
from lsstpipe.image.detector import Detector
from lsstpipe.simulate.seeds import random_for
from lsstpipe.simulate.survey import Exposure, Survey

_SHIFT_PIX, _TURN_DEG, _BEND_PIX = 1.5, 0.01, 0.3
_SCALE_ERROR = 2e-5


def true_wcs(survey: Survey, exposure: Exposure, detector: Detector) -> SkyWcs:
    """Give the true map between pixels of a detector and the sky.

    Parameters
    ----------
    survey
        Its camera, distortion and seed.
    exposure
        A visit: where it truly looks.
    detector
        One of its detectors.
    """
    focal_y, focal_x = centre_of_field(detector)
    # Air pressure and temperature change the scale a little from visit to visit.
    breath = 1 + _SCALE_ERROR * random_for("scale", survey.seed, exposure.number).standard_normal()
    scale = survey.camera.pixel_scale_arcsec / 3600 * breath
    angle = math.radians(exposure.rotation_deg)
    hand = 1.0 if survey.camera.is_mirrored else -1.0
    focal = scale * np.array(
        [
            [hand * math.cos(angle), math.sin(angle)],
            [-hand * math.sin(angle), math.cos(angle)],
        ]
    )
    cd = focal @ _turned(detector.quarter_turns)
    rng = random_for("optics", survey.seed, detector.number)
    # A detector that is shifted sees the centre of the field elsewhere.
    focal_y, focal_x = np.array([focal_y, focal_x]) + _SHIFT_PIX * rng.standard_normal(2)
    a, b = _distortion(survey, detector, rng, centre_y=focal_y, centre_x=focal_x)
    return SkyWcs(
        crpix=(float(focal_y), float(focal_x)),
        crval_deg=(exposure.ra_deg, exposure.dec_deg),
        cd=((float(cd[0, 0]), float(cd[0, 1])), (float(cd[1, 0]), float(cd[1, 1]))),
        sip_a=tuple(tuple(float(c) for c in row) for row in a),
        sip_b=tuple(tuple(float(c) for c in row) for row in b),
    )


def centre_of_field(detector: Detector) -> tuple[float, float]:
    """Give the pixel (y, x) of a detector, mostly outside of it, at the centre of the field.

    Parameters
    ----------
    detector
        A detector of a camera.
    """
    away = _turned(-detector.quarter_turns) @ np.array(
        [-detector.focal_x_pix, -detector.focal_y_pix]
    )
    return (detector.ny - 1) / 2 + float(away[1]), (detector.nx - 1) / 2 + float(away[0])


def focal_plane(detector: Detector, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the places of pixels on the focal plane.

    Parameters
    ----------
    detector
        The detector.
    y, x
        Pixel positions, one shape.

    Returns
    -------
    focal_y, focal_x
        Pixels from the centre of the field.
    """
    turn = _turned(detector.quarter_turns)
    v, u = y - (detector.ny - 1) / 2, x - (detector.nx - 1) / 2
    return (
        detector.focal_y_pix + turn[1, 0] * u + turn[1, 1] * v,
        detector.focal_x_pix + turn[0, 0] * u + turn[0, 1] * v,
    )


def _turned(quarter_turns: int) -> np.ndarray:
    """Give the matrix that turns (x, y) by quarter turns from x to y."""
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter_turns % 4]
    return np.array([[cosine, -sine], [sine, cosine]], dtype=np.float64)


def _distortion(
    survey: Survey,
    detector: Detector,
    rng: np.random.Generator,
    *,
    centre_y: float,
    centre_x: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Give the SIP tables about the centre of the field."""
    # Where the centre of the detector is, seen from that of the field, in SIP's u and v.
    u0, v0 = (detector.nx - 1) / 2 - centre_x, (detector.ny - 1) / 2 - centre_y
    half = max(detector.ny, detector.nx) / 2
    turn = math.radians(_TURN_DEG) * rng.standard_normal()
    k = survey.camera.cubic_distortion
    tables = []
    for axis in range(2):
        table = np.zeros((4, 4))
        if axis == 0:
            table[3, 0] = table[1, 2] = k
        else:
            table[0, 3] = table[2, 1] = k
        # A turn about the detector's own centre.
        table[0, 0] -= (-turn * v0, turn * u0)[axis]
        table[(0, 1)[axis], (1, 0)[axis]] += (-turn, turn)[axis]
        bend = _BEND_PIX * rng.standard_normal(3) / half**2
        table[2, 0] += bend[0]
        table[1, 1] += bend[1]
        table[0, 2] += bend[2]
        table[1, 0] += -2 * bend[0] * u0 - bend[1] * v0
        table[0, 1] += -bend[1] * u0 - 2 * bend[2] * v0
        table[0, 0] += bend[0] * u0**2 + bend[1] * u0 * v0 + bend[2] * v0**2
        tables.append(table)
    return tables[0], tables[1]
