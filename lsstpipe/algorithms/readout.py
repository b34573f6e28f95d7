"""Read-out: from a raw frame to the electrons of each amplifier, and to the assembled image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.overscan import Overscan
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.image.mask import MaskArray, MaskPlane, has

FloatImage = npt.NDArray[np.float32]
Order = tuple[slice, slice]
Kind = TypeVar("Kind", bound=np.generic)

_SAMPLE_PIX = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on an amplifier is given up.

    Attributes
    ----------
    noise_ratio
        Noise of the overscan over the read noise that is expected.
    saturated_fraction
        Share of its pixels that are saturated.
    """

    noise_ratio: float
    saturated_fraction: float


def find_fault(
    image: FloatImage, mask: MaskArray, amplifier: Amplifier, overscan: Overscan, limits: Limits
) -> str:
    """Tell what is wrong with an amplifier as a whole.

    Parameters
    ----------
    image, mask
        Raw pixels of the amplifier, ADU, and their planes, shape ``(ny, nx)``.
    amplifier
        What is expected of it.
    overscan
        What its overscan shows.
    limits
        How much is too much.

    Returns
    -------
    str
        A few words; empty if nothing is wrong.
    """
    # A sample tells in no time that an amplifier is not constant; only if it is does all of it.
    sample = image[::_SAMPLE_PIX, ::_SAMPLE_PIX]
    if np.ptp(sample) == 0 and np.ptp(image) == 0:
        return f"constant at {image[0, 0]:g} ADU"
    noise = overscan.noise_adu * amplifier.gain
    if noise == 0 or noise > limits.noise_ratio * amplifier.read_noise:
        return f"noise of {noise:.3g} electrons"
    saturated = has(mask, MaskPlane.SAT).mean()
    if saturated >= limits.saturated_fraction:
        return f"{saturated:.0%} saturated"
    return ""


def read_amplifiers(
    frame: FloatImage, detector: Detector, overscans: Sequence[Overscan]
) -> FloatImage:
    """Give the electrons of each amplifier in the order in which its pixels are read.

    Pixels at one place of the result are read at one time, whichever corner each amplifier reads
    towards: the overscan, which is read last, tells which that is.

    Parameters
    ----------
    frame
        Raw frame, ADU, shape ``(raw_ny, raw_nx)``.
    detector
        Where its amplifiers lie and their gains.
    overscans
        Bias level of each.

    Returns
    -------
    numpy.ndarray
        Electrons, shape ``(n, ny, nx)``; 0 beyond the end of an amplifier smaller than others.
    """
    shapes = [amplifier.box.shape for amplifier in detector.amplifiers]
    size = (len(shapes), max(ny for ny, _ in shapes), max(nx for _, nx in shapes))
    is_even = len(set(shapes)) == 1
    cube: FloatImage = np.empty(size, np.float32) if is_even else np.zeros(size, np.float32)
    for own, amplifier, overscan in zip(cube, detector.amplifiers, overscans, strict=True):
        data = amplifier.data.slices_in(detector.raw_box)
        order = _order(_backwards(amplifier))
        electrons = own[: amplifier.box.ny, : amplifier.box.nx]
        np.subtract(frame[data][order], overscan.row_level[order[0]][:, None], out=electrons)
        if overscan.column_level is not None:
            electrons -= overscan.column_level[order[1]]
        electrons *= np.float32(amplifier.gain)
    return cube


def assemble(cube: npt.NDArray[Kind], detector: Detector) -> npt.NDArray[Kind]:
    """Put amplifiers in the order of their reading together to the image of the detector.

    Parameters
    ----------
    cube
        As `read_amplifiers` gives it, shape ``(n, ny, nx)``.
    detector
        Where its amplifiers lie.

    Returns
    -------
    numpy.ndarray
        Of the type of the cube, shape ``(ny, nx)`` of the detector.
    """
    image: npt.NDArray[Kind] = np.empty((detector.ny, detector.nx), dtype=cube.dtype)
    for own, amplifier in zip(cube, detector.amplifiers, strict=True):
        read, raw = _backwards(amplifier), (amplifier.flip_y, amplifier.flip_x)
        order = _order((read[0] != raw[0], read[1] != raw[1]))
        target = amplifier.box.slices_in(detector.box)
        image[target] = own[: amplifier.box.ny, : amplifier.box.nx][order]
    return image


def take_apart(image: npt.NDArray[Kind], detector: Detector) -> npt.NDArray[Kind]:
    """Cut the image of a detector into amplifiers in the order of their reading: undo `assemble`.

    Parameters
    ----------
    image
        Shape ``(ny, nx)`` of the detector.
    detector
        Where its amplifiers lie; all of one size.

    Returns
    -------
    numpy.ndarray
        Of the type of the image, shape ``(n, ny, nx)`` of the amplifiers.
    """
    cut = []
    for amplifier in detector.amplifiers:
        read, raw = _backwards(amplifier), (amplifier.flip_y, amplifier.flip_x)
        order = _order((read[0] != raw[0], read[1] != raw[1]))
        cut.append(image[amplifier.box.slices_in(detector.box)][order])
    return np.stack(cut)


def assemble_mask(mask: MaskArray, detector: Detector) -> MaskArray:
    """Put the planes of a raw frame together to those of the detector.

    Parameters
    ----------
    mask
        Planes of the raw frame, shape ``(raw_ny, raw_nx)``.
    detector
        Where its amplifiers lie.
    """
    assembled = np.empty((detector.ny, detector.nx), dtype=np.int32)
    for amplifier in detector.amplifiers:
        order = _order((amplifier.flip_y, amplifier.flip_x))
        target = amplifier.box.slices_in(detector.box)
        assembled[target] = mask[amplifier.data.slices_in(detector.raw_box)][order]
    return assembled


def _backwards(amplifier: Amplifier) -> tuple[bool, bool]:
    """Tell whether rows and columns of the raw frame run against the order of reading."""
    serial, parallel, data = amplifier.serial_overscan, amplifier.parallel_overscan, amplifier.data
    return (
        parallel is not None and parallel.y0 < data.y0,
        serial is not None and serial.x0 < data.x0,
    )


def _order(is_reversed: tuple[bool, bool]) -> Order:
    """Make the slices that reverse rows or columns."""
    y, x = (slice(None, None, -1 if flag else 1) for flag in is_reversed)
    return y, x
