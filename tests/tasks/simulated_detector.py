"""A detector of four amplifiers that read towards its corners, and what they make of light."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.box import Box
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.image.exposure import Exposure, ObservationInfo
from lsstpipe.image.mask import MaskPlane

FloatArray = npt.NDArray[np.float64]

NAMES = ("LL", "LR", "UL", "UR")
HALF, OVERSCAN, ROWS = 128, 20, 8
SHAPE = (2 * HALF, 2 * HALF)
GAIN = np.array([1.55, 1.6, 1.65, 1.7])
READ_NOISE = np.array([5.0, 4.5, 5.5, 5.0])
BIAS_ADU = np.array([1000.0, 1050.0, 980.0, 1020.0])
SATURATION_ADU = 60000.0


@dataclass(frozen=True)
class Electronics:
    """What the chain behind the pixels does to their charge."""

    nonlinearity: FloatArray = field(default_factory=lambda: np.zeros(4))
    crosstalk: FloatArray = field(default_factory=lambda: np.zeros((4, 4)))
    columns_adu: float = 0.0
    noise: FloatArray = field(default_factory=lambda: READ_NOISE)


def make_detector(layout: str) -> Detector:
    """Describe the detector: ``frame`` as it looks in the sky, ``rows`` one amplifier by another.

    Gains and read noise are 10 % off, as those of a data sheet.
    """
    amplifiers = []
    for i, name in enumerate(NAMES):
        up, right = divmod(i, 2)
        box = Box(up * HALF, right * HALF, HALF, HALF)
        if layout == "frame":
            y0, x0 = up * (HALF + 2 * ROWS), right * (HALF + 2 * OVERSCAN)
            serial_x0 = HALF + OVERSCAN if right else HALF
            parallel_y0 = HALF + ROWS if up else HALF
        else:
            y0, x0 = 0, i * (HALF + OVERSCAN)
            serial_x0, parallel_y0 = x0 + HALF, HALF
        amplifiers.append(
            Amplifier(
                name,
                box,
                Box(y0, x0, HALF, HALF),
                gain=1.1 * GAIN[i],
                read_noise=1.1 * READ_NOISE[i],
                saturation_adu=SATURATION_ADU,
                suspect_adu=55000.0,
                serial_overscan=Box(y0, serial_x0, HALF, OVERSCAN),
                parallel_overscan=Box(parallel_y0, x0, ROWS, HALF),
                flip_y=layout == "rows" and up == 1,
                flip_x=layout == "rows" and right == 1,
            )
        )
    n_y, n_x = (2, 2) if layout == "frame" else (1, 4)
    size = n_y * (HALF + ROWS), n_x * (HALF + OVERSCAN)
    return Detector(0, layout, *SHAPE, tuple(amplifiers), *size)


def in_read_order(image: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Cut an image into amplifiers, each from its corner inwards."""
    corners = (image, image[:, ::-1], image[::-1], image[::-1, ::-1])
    return np.stack([corner[:HALF, :HALF] for corner in corners])


def make_info(kind: str = "science", *, time_s: float = 30.0) -> ObservationInfo:
    return ObservationInfo("sim", 1, 0, "r", "r", kind, "", time_s, time_s, 60000.0)


def read_out(
    charge: FloatArray, layout: str, rng: np.random.Generator, chain: Electronics | None = None
) -> Exposure:
    """Turn the charge of all pixels into a raw frame."""
    chain = chain or Electronics()
    detector = make_detector(layout)
    adu = in_read_order(charge) / GAIN[:, None, None]
    adu = adu * (1 - chain.nonlinearity[:, None, None] * adu)
    electrons = adu * GAIN[:, None, None]
    adu += np.einsum("vs,syx->vyx", chain.crosstalk, electrons) / GAIN[:, None, None]
    frame = np.zeros(detector.raw_box.shape)
    for i, amplifier in enumerate(detector.amplifiers):
        whole = np.zeros((HALF + ROWS, HALF + OVERSCAN))
        whole[:HALF, :HALF] = adu[i]
        whole[:, :HALF] += chain.columns_adu * np.cos(np.arange(HALF) / 5.0)
        whole += BIAS_ADU[i] + np.cumsum(rng.normal(0, 0.3, HALF + ROWS))[:, None]
        whole += rng.normal(0, chain.noise[i] / GAIN[i], whole.shape)
        backwards_y = layout == "frame" and i >= 2
        backwards_x = layout == "frame" and i % 2 == 1
        order = (
            slice(None, None, -1 if backwards_y else 1),
            slice(None, None, -1 if backwards_x else 1),
        )
        box = amplifier.data
        y0, x0 = box.y0 - ROWS * backwards_y, box.x0 - OVERSCAN * backwards_x
        frame[y0 : y0 + HALF + ROWS, x0 : x0 + HALF + OVERSCAN] = whole[order]
    return digitise(frame, detector)


def digitise(frame: FloatArray, detector: Detector) -> Exposure:
    """Round to ADU and flag what is saturated."""
    adu = np.clip(np.round(frame), 0, 65535).astype(np.float32)
    mask = np.where(adu >= SATURATION_ADU, int(MaskPlane.SAT), 0).astype(np.int32)
    return Exposure(adu, mask, np.zeros_like(adu), detector.raw_box, "adu", info=make_info())


def calibration(image: FloatArray, *, variance: float = 0.0, time_s: float = 30.0) -> Exposure:
    """Make a calibration frame of what is known."""
    made = np.array(image, dtype=np.float32)
    zero = np.zeros(made.shape, np.int32)
    noise = np.full(made.shape, variance, np.float32)
    box = Box(0, 0, *made.shape)
    return Exposure(made, zero, noise, box, "electron", info=make_info("dark", time_s=time_s))
