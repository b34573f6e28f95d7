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

from typing import Any

from astro_metadata_translator import cache_translation
from astro_metadata_translator.translators import HscTranslator

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

_NAMES = HscTranslator._DETECTOR_NUM_TO_UNIQUE_NAME


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


class HscRawTranslator(HscTranslator):
    """Translate HSC's own headers into lsstpipe's kinds of exposure."""

    name = "hsc_raw"
    supported_instrument = "hsc"

    _const_map: dict[str, Any] = {"instrument": "hsc"}  # noqa: RUF012  (declared so in the base)

    @cache_translation
    def to_observation_type(self) -> str:
        """Kind of exposure: a dome flat is a flat."""
        kind = str(super().to_observation_type())
        return "flat" if kind == "domeflat" else kind


TRANSLATOR = HscRawTranslator
