"""The simulated cameras: detectors of four, two and two amplifiers, with overscan on two sides.

`lsstpipe.simulate` writes their frames. The images of the amplifiers lie side by side in the raw
frame, each in the order in which its pixels are read: prescan, pixels, serial overscan; the
parallel overscan comes after the last row. Gains and read noise are the nominal ones: those of a
simulated detector differ from them by a few per cent, as they do on real cameras, and are to be
measured.
"""

from __future__ import annotations

from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.instruments.camera import Camera

N_PRESCAN, N_SERIAL_OVERSCAN, N_PARALLEL_OVERSCAN = 8, 32, 16
"""Pixels read before and after those of a row, and rows read after the last."""

GAP_PIX = 60
"""Distance between neighbouring detectors, pixels."""

_GAINS = (1.55, 1.60, 1.65, 1.70)
_READ_NOISE_ELECTRON = 5.0
_SUSPECT_ADU, _SATURATION_ADU = 55000.0, 60000.0


def make_camera(
    name: str,
    *,
    shape: tuple[int, int],
    amplifiers: tuple[int, int],
    mosaic: tuple[int, int],
    cubic_distortion: float,
    fringing: str,
) -> Camera:
    """Describe a simulated camera.

    Parameters
    ----------
    name
        Value of the dimension ``instrument``.
    shape
        Rows and columns of each detector.
    amplifiers
        Rows and columns of amplifiers of each detector.
    mosaic
        Rows and columns of detectors.
    cubic_distortion
        As of `Camera`.
    fringing
        The band in which the sky makes fringes.
    """
    detectors = {}
    for number in range(mosaic[0] * mosaic[1]):
        row, column = divmod(number, mosaic[1])
        detectors[number] = _detector(
            number,
            shape,
            amplifiers,
            focal_y_pix=(row - (mosaic[0] - 1) / 2) * (shape[0] + GAP_PIX),
            focal_x_pix=(column - (mosaic[1] - 1) / 2) * (shape[1] + GAP_PIX),
        )
    return Camera(
        name=name,
        detectors=detectors,
        bands={f"sim-{band}": band for band in "grizy"},
        pixel_scale_arcsec=0.2,
        scale_tolerance=0.02,
        fringing=frozenset({f"sim-{fringing}"}),
        cubic_distortion=cubic_distortion,
    )


def _detector(
    number: int,
    shape: tuple[int, int],
    amplifiers: tuple[int, int],
    *,
    focal_y_pix: float,
    focal_x_pix: float,
) -> Detector:
    """Describe a detector whose amplifiers are read at its outer corners."""
    ny, nx = shape[0] // amplifiers[0], shape[1] // amplifiers[1]
    width = N_PRESCAN + nx + N_SERIAL_OVERSCAN
    parts = []
    for i in range(amplifiers[0] * amplifiers[1]):
        row, column = divmod(i, amplifiers[1])
        x0 = i * width + N_PRESCAN
        parts.append(
            Amplifier(
                name=f"C{row}{column}",
                box=Box(row * ny, column * nx, ny, nx),
                data=Box(0, x0, ny, nx),
                gain=_GAINS[i],
                read_noise=_READ_NOISE_ELECTRON,
                saturation_adu=_SATURATION_ADU,
                suspect_adu=_SUSPECT_ADU,
                serial_overscan=Box(0, x0 + nx, ny, N_SERIAL_OVERSCAN),
                parallel_overscan=Box(ny, x0, N_PARALLEL_OVERSCAN, nx),
                flip_y=row > 0,
                flip_x=column > 0,
            )
        )
    return Detector(
        number,
        f"S{number:02d}",
        shape[0],
        shape[1],
        tuple(parts),
        raw_ny=ny + N_PARALLEL_OVERSCAN,
        raw_nx=len(parts) * width,
        focal_y_pix=focal_y_pix,
        focal_x_pix=focal_x_pix,
    )


CAMERA = make_camera(
    "simcam",
    shape=(4096, 2048),
    amplifiers=(2, 2),
    mosaic=(2, 2),
    cubic_distortion=1e-10,
    fringing="y",
)
