"""Detectors: their amplifiers, where the pixels of each lie, and how each reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.box import Box

FloatImage = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Amplifier:
    """One read-out channel of a detector.

    Attributes
    ----------
    name
        What people call it.
    box
        Its pixels on the assembled detector.
    data
        The same pixels in the raw frame; of the size of ``box``.
    gain
        Electrons per ADU.
    read_noise
        Electrons.
    saturation_adu
        Raw level from which a pixel is saturated.
    suspect_adu
        Raw level from which a pixel is no longer linear enough to trust.
    serial_overscan
        Columns read after the last pixel of each row, in the raw frame; None where there are none.
        Its rows are those of ``data``.
    parallel_overscan
        Rows read after the last row, in the raw frame; None where there are none. Its columns are
        those of ``data``.
    flip_y, flip_x
        Whether rows or columns run the other way in the raw frame.
    """

    name: str
    box: Box
    data: Box
    gain: float
    read_noise: float
    saturation_adu: float
    suspect_adu: float
    serial_overscan: Box | None = None
    parallel_overscan: Box | None = None
    flip_y: bool = False
    flip_x: bool = False

    def __post_init__(self) -> None:
        """Check that the boxes fit each other."""
        if self.box.shape != self.data.shape:
            raise ValueError(
                f"amplifier {self.name} has {self.box.shape} pixels on the detector and "
                f"{self.data.shape} in the raw frame"
            )


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector of a camera.

    Attributes
    ----------
    number, name
        Its value of the dimension ``detector``, and what people call it.
    ny, nx
        Imaging pixels.
    amplifiers
        They tile the imaging pixels.
    raw_ny, raw_nx
        Pixels of a raw frame, overscan and all. A camera that writes one image an amplifier has
        them put side by side in the raw frame.
    focal_y_pix, focal_x_pix
        Centre of the detector from that of the field, in pixels along the axes of the focal plane.
    quarter_turns
        Turns by 90 degrees, from x to y, from the detector's axes to those of the focal plane.
    """

    number: int
    name: str
    ny: int
    nx: int
    amplifiers: tuple[Amplifier, ...]
    raw_ny: int
    raw_nx: int
    focal_y_pix: float = 0.0
    focal_x_pix: float = 0.0
    quarter_turns: int = 0

    def __post_init__(self) -> None:
        """Check that the amplifiers tile the detector."""
        boxes = [amplifier.box for amplifier in self.amplifiers]
        apart = all(not a.intersection(b).n_pixels for a, b in combinations(boxes, 2))
        inside = all(self.box.contains_box(box) for box in boxes)
        if not (apart and inside and sum(box.n_pixels for box in boxes) == self.box.n_pixels):
            raise ValueError(f"the amplifiers of detector {self.name} do not tile it")

    @property
    def box(self) -> Box:
        """Box of the imaging pixels."""
        return Box(0, 0, self.ny, self.nx)

    @property
    def raw_box(self) -> Box:
        """Box of the raw frame."""
        return Box(0, 0, self.raw_ny, self.raw_nx)

    @property
    def gain(self) -> float:
        """Mean gain of the amplifiers, electrons per ADU."""
        return float(np.mean([a.gain for a in self.amplifiers]))

    @property
    def read_noise(self) -> float:
        """Quadratic mean of the read noise of the amplifiers, electrons."""
        return float(np.sqrt(np.mean([a.read_noise**2 for a in self.amplifiers])))

    @property
    def saturation_adu(self) -> float:
        """Lowest saturation level of the amplifiers, ADU."""
        return min(a.saturation_adu for a in self.amplifiers)

    @property
    def suspect_adu(self) -> float:
        """Lowest level of the amplifiers from which pixels are suspect, ADU."""
        return min(a.suspect_adu for a in self.amplifiers)

    @property
    def has_overscan(self) -> bool:
        """Whether the bias level can be had from the frame itself."""
        return all(a.serial_overscan is not None for a in self.amplifiers)

    def paint(self, values: Sequence[float]) -> FloatImage:
        """Give every imaging pixel the value of its amplifier.

        Parameters
        ----------
        values
            One an amplifier, in their order.

        Returns
        -------
        numpy.ndarray
            Shape ``(ny, nx)``.
        """
        image = np.empty((self.ny, self.nx), dtype=np.float32)
        for amplifier, value in zip(self.amplifiers, values, strict=True):
            image[amplifier.box.slices_in(self.box)] = value
        return image


def one_amplifier(
    number: int, name: str, box: Box, *, gain: float, read_noise: float, limits: tuple[float, float]
) -> Detector:
    """Describe a detector with one amplifier and no overscan.

    Parameters
    ----------
    number, name
        As of `Detector`.
    box
        Imaging pixels, which are those of the raw frame.
    gain
        Electrons per ADU.
    read_noise
        Electrons.
    limits
        Raw levels from which a pixel is suspect and saturated, ADU.
    """
    amplifier = Amplifier("1", box, box, gain, read_noise, limits[1], limits[0])
    return Detector(number, name, box.ny, box.nx, (amplifier,), box.ny, box.nx)
