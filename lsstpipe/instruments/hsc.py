"""Hyper Suprime-Cam on Subaru: its 104 science detectors, its raw frames, its headers.

Detectors stand on a regular grid (Miyazaki et al. 2018, PASJ 70, S1; Rubin's description of the
camera gives positions within 5 pixels of the grid). Those whose name begins with 1 are turned by
half a turn, the four at the corners by a quarter. In a raw frame of 4241 rows and 2144 columns each
amplifier has 536 columns. The first is read from the left: 8 columns of prescan, 512 pixels, 16 of
overscan; its neighbour from the right, with its overscan beside that of the first; and so on. 49
rows are read before the pixels, 16 after them. Gains and limits are those of the headers of the
camera's first runs. The optics show the edge of the field at a scale that is smaller by 6 %.
"""

from __future__ import annotations

from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.instruments.camera import Camera

_NY, _NX = 4176, 2048
_AMPLIFIER_NX, _PRESCAN_X, _PRESCAN_Y, _OVERSCAN = 512, 8, 49, 16
_GAINS = (3.30, 3.36, 3.40, 3.45)
_READ_NOISE_ELECTRON = 4.5
_SUSPECT_ADU, _SATURATION_ADU = 50000.0, 55000.0

_COLUMN_PIX, _ROW_PIX = 2123.1, 4476.9
_FIRST_ROW_PIX = {0: 2552.4, 1: 2324.1}
"""Centre of the row above the middle: of detectors that stand upright, and of those turned over."""

_N_IN_COLUMN = {7: 4, 6: 6, 5: 6, 4: 6, 3: 8, 2: 8, 1: 8, 0: 8}
_N_IN_COLUMN |= {-column: n for column, n in _N_IN_COLUMN.items()}
_CORNERS = {100: (-14289.0, 9590.0, 3), 101: (14690.0, 9590.0, 3)}
_CORNERS |= {102: (-14289.0, -9590.0, 1), 103: (14690.0, -9590.0, 1)}

_NAMES_IN_ORDER = """
1_53 1_54 1_55 1_56 1_42 1_43 1_44 1_45 1_46 1_47 1_36 1_37 1_38 1_39 1_40 1_41 0_30 0_29
0_28 1_32 1_33 1_34 0_27 0_26 0_25 0_24 1_00 1_01 1_02 1_03 0_23 0_22 0_21 0_20 1_04 1_05
1_06 1_07 0_19 0_18 0_17 0_16 1_08 1_09 1_10 1_11 0_15 0_14 0_13 0_12 1_12 1_13 1_14 1_15
0_11 0_10 0_09 0_08 1_16 1_17 1_18 1_19 0_07 0_06 0_05 0_04 1_20 1_21 1_22 1_23 0_03 0_02
0_01 0_00 1_24 1_25 1_26 1_27 0_34 0_33 0_32 1_28 1_29 1_30 0_41 0_40 0_39 0_38 0_37 0_36
0_47 0_46 0_45 0_44 0_43 0_42 0_56 0_55 0_54 0_53 0_31 1_35 0_35 1_31
"""
_NAMES = _NAMES_IN_ORDER.split()


def _amplifiers() -> tuple[Amplifier, ...]:
    """Describe the amplifiers, which all detectors have alike."""
    width = _PRESCAN_X + _AMPLIFIER_NX + _OVERSCAN
    parts = []
    for i in range(4):
        is_read_from_left = i % 2 == 0
        x0 = i * width + (_PRESCAN_X if is_read_from_left else _OVERSCAN)
        overscan_x0 = x0 + _AMPLIFIER_NX if is_read_from_left else x0 - _OVERSCAN
        parts.append(
            Amplifier(
                name=str(i + 1),
                box=Box(0, i * _AMPLIFIER_NX, _NY, _AMPLIFIER_NX),
                data=Box(_PRESCAN_Y, x0, _NY, _AMPLIFIER_NX),
                gain=_GAINS[i],
                read_noise=_READ_NOISE_ELECTRON,
                saturation_adu=_SATURATION_ADU,
                suspect_adu=_SUSPECT_ADU,
                serial_overscan=Box(_PRESCAN_Y, overscan_x0, _NY, _OVERSCAN),
                parallel_overscan=Box(_PRESCAN_Y + _NY, x0, _OVERSCAN, _AMPLIFIER_NX),
            )
        )
    return tuple(parts)


def _positions() -> dict[int, tuple[float, float, int]]:
    """Give the place (y, x, pixels) and the quarter turns of each detector by its number."""
    positions = {}
    number = 0
    for column in sorted(_N_IN_COLUMN, reverse=True):
        n = _N_IN_COLUMN[column]
        for row in range(-n // 2, n // 2):
            side = int(_NAMES[number][0])
            y = _FIRST_ROW_PIX[side] + row * _ROW_PIX
            positions[number] = (y, column * _COLUMN_PIX, 2 * side)
            number += 1
    return positions | _CORNERS


CAMERA = Camera(
    name="hsc",
    detectors={
        number: Detector(
            number,
            _NAMES[number],
            _NY,
            _NX,
            _amplifiers(),
            raw_ny=_PRESCAN_Y + _NY + _OVERSCAN,
            raw_nx=4 * (_PRESCAN_X + _AMPLIFIER_NX + _OVERSCAN),
            focal_y_pix=y,
            focal_x_pix=x,
            quarter_turns=turns,
        )
        for number, (y, x, turns) in _positions().items()
    },
    bands={f"HSC-{band.upper()}": band for band in "grizy"},
    pixel_scale_arcsec=0.168,
    scale_tolerance=0.08,
    is_mirrored=True,
    cubic_distortion=-1.096e-10,
)
