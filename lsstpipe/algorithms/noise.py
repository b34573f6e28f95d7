"""Noise: corrections of an image in electrons that its variance follows, in place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._noise_kernel import (
    add_poisson,
    divide_by,
    give_up_invalid,
    subtract_box,
    subtract_scaled,
)
from lsstpipe.image.detector import Detector
from lsstpipe.image.mask import MaskArray, MaskPlane

Image = npt.NDArray[np.float32]
Planes = tuple[Image, Image]
"""Image and variance, electrons and electron**2, shape ``(ny, nx)``; changed in place."""


def subtract_bias(planes: Planes, bias: Planes, known: Detector, described: Detector) -> None:
    """Subtract a bias in the unit of an image, and add its variance in that unit.

    Parameters
    ----------
    planes
        Image and variance, electrons by the gains of ``known``.
    bias
        Image and variance, electrons by the gains of ``described``.
    known, described
        The detector with the gains of either.
    """
    for amplifier, other in zip(known.amplifiers, described.amplifiers, strict=True):
        y, x = amplifier.box.slices_in(known.box)
        ratio = np.float32(amplifier.gain / other.gain)
        subtract_box(planes, bias, ratio, (y.start, y.stop, x.start, x.stop))


def subtract_dark(
    planes: Planes, dark: Image, dark_variance: Image, *, scale: float, pedestal: float
) -> None:
    """Subtract a scaled dark; its variance and the noise of its current go into the variance.

    Parameters
    ----------
    planes
        Image and variance.
    dark, dark_variance
        Electrons of the dark.
    scale
        Exposure time over that of the dark.
    pedestal
        Electrons of the scaled dark that are no current: a bias level inside it.
    """
    subtract_scaled(*planes, dark, dark_variance, np.float32(scale), np.float32(pedestal))


def add_photon_noise(planes: Planes, detector: Detector, read_noise: Sequence[float]) -> None:
    """Add the noise of photons (Poisson) and of the read-out to the variance.

    Parameters
    ----------
    planes
        Image without bias and dark current; what is below 0 has no photons; and variance of what
        was subtracted.
    detector
        Where its amplifiers lie.
    read_noise
        Noise of a pixel without light of each of its amplifiers, electrons.
    """
    image, variance = planes
    for amplifier, noise in zip(detector.amplifiers, read_noise, strict=True):
        y, x = amplifier.box.slices_in(detector.box)
        add_poisson(variance, image, np.float32(noise**2), (y.start, y.stop, x.start, x.stop))


def divide_by_flat(planes: Planes, flat: Image, flat_variance: Image) -> None:
    """Divide by the flat; its error enters by the square of the signal.

    Parameters
    ----------
    planes
        Image and variance; NaN where the response is not positive.
    flat, flat_variance
        Relative response, shape ``(ny, nx)``.
    """
    divide_by(*planes, flat, flat_variance)


def guard_variance(planes: Planes, mask: MaskArray) -> None:
    """Give up pixels without a positive variance or without a number.

    Their value becomes 0 and their variance 1, so that no NaN spreads; they are flagged BAD, and
    UNMASKEDNAN where it was no number.

    Parameters
    ----------
    planes
        Image and variance.
    mask
        Bits of `MaskPlane`; changed in place.
    """
    bad = int(MaskPlane.BAD)
    give_up_invalid(*planes, mask, (bad, bad | int(MaskPlane.UNMASKEDNAN)))
