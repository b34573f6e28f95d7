"""The signature of a camera, and its removal from a raw frame, as far as it is known.

The order is that in which light and electronics put the signature in, backwards (Rubin's
``IsrTaskLSST``). `isr` removes all of it; the tasks that make calibrations remove what came before
their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pydantic import NonNegativeInt

from lsstpipe.algorithms.noise import predict_variance
from lsstpipe.algorithms.overscan import measure_serial_overscan
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.tasks.base import TaskConfig, get_info

FloatImage = npt.NDArray[np.float32]


class SignatureConfig(TaskConfig):
    """How to take the camera's signature out."""

    overscan_skip_first_pix: NonNegativeInt = 3
    """Columns of the overscan next to the image that are left out."""

    overscan_skip_last_pix: NonNegativeInt = 1
    """Columns at the other end of the overscan that are left out."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What is known of a detector; None where nothing is.

    Attributes
    ----------
    bias
        What is left of the bias level after the overscan, electrons.
    dark
        Electrons of ``dark.info.dark_time_s``; of a camera without overscan or bias, with the bias
        level inside.
    defects
        Its plane BAD is set on pixels that cannot be trusted.
    flat
        Relative response, mean 1.
    """

    bias: Exposure | None = None
    dark: Exposure | None = None
    defects: Exposure | None = None
    flat: Exposure | None = None


def remove_signature(
    raw: Exposure, detector: Detector, signature: Signature, config: SignatureConfig
) -> Exposure:
    """Take the known part of the signature out of a raw frame.

    Parameters
    ----------
    raw
        Raw frame in ADU, on `Detector.raw_box`.
    detector
        Its geometry, gains and read noise.
    signature
        What is known.
    config
        How to take it out.

    Returns
    -------
    Exposure
        Assembled image in electrons with variance and mask.

    Raises
    ------
    AlgorithmError
        If the dark does not fit the exposure.
    """
    image, mask = assemble(raw, detector, config)
    zero = np.zeros_like(image)
    made = Exposure(image, mask, zero, detector.box, "electron", info=get_info(raw))
    bad = np.int32(MaskPlane.BAD)
    if signature.bias is not None:
        made = replace(
            made,
            image=image - signature.bias.image,
            variance=signature.bias.variance,
            mask=made.mask | (signature.bias.mask & bad),
        )
    if signature.dark is not None:
        has_bias = detector.has_overscan or signature.bias is not None
        made = subtract_dark(made, detector, signature.dark, has_bias=has_bias)
    else:
        read_noise = detector.paint([a.read_noise for a in detector.amplifiers])
        own = predict_variance(made.image, zero, read_noise=read_noise)
        made = replace(made, variance=made.variance + own)
    if signature.defects is not None:
        made = replace(made, mask=made.mask | (signature.defects.mask & bad))
    if signature.flat is not None:
        made = divide_flat(made, signature.flat)
    figures = {
        "read_noise_electron": detector.read_noise,
        "gain": detector.gain,
        "n_saturated_pixels": int(has(mask, MaskPlane.SAT).sum()),
        "n_bad_pixels": int(has(made.mask, MaskPlane.BAD).sum()),
    }
    if signature.dark is not None and "read_noise_electron" in signature.dark.metadata:
        figures["read_noise_electron"] = float(signature.dark.metadata["read_noise_electron"])
    return replace(made, metadata=figures)


def assemble(
    raw: Exposure, detector: Detector, config: SignatureConfig
) -> tuple[FloatImage, npt.NDArray[np.int32]]:
    """Put the amplifiers of a raw frame together, without their bias levels.

    Parameters
    ----------
    raw
        Raw frame in ADU.
    detector
        Where its amplifiers lie.
    config
        Which columns of the overscan to use.

    Returns
    -------
    image, mask
        Electrons, and planes of the raw frame, shape ``(ny, nx)``.
    """
    image = np.empty((detector.ny, detector.nx), dtype=np.float32)
    mask = np.empty((detector.ny, detector.nx), dtype=np.int32)
    for amplifier in detector.amplifiers:
        own = amplifier.data.slices_in(detector.raw_box)
        level = _bias_level(raw.image, amplifier, config)
        target = amplifier.box.slices_in(detector.box)
        order = tuple(
            slice(None, None, -1 if flip else 1) for flip in (amplifier.flip_y, amplifier.flip_x)
        )
        image[target] = ((raw.image[own] - level) * np.float32(amplifier.gain))[order]
        mask[target] = raw.mask[own][order]
    return image, mask


def _bias_level(frame: FloatImage, amplifier: Amplifier, config: SignatureConfig) -> FloatImage:
    """Measure the bias level of each row of an amplifier; 0 where there is no overscan."""
    if amplifier.serial_overscan is None:
        return np.zeros((1, 1), dtype=np.float32)
    return measure_serial_overscan(
        frame,
        amplifier.serial_overscan,
        skip_first=config.overscan_skip_first_pix,
        skip_last=config.overscan_skip_last_pix,
    )[:, None]


def subtract_dark(
    exposure: Exposure, detector: Detector, dark: Exposure, *, has_bias: bool
) -> Exposure:
    """Subtract the dark from an assembled image and predict its variance.

    Parameters
    ----------
    exposure
        Electrons; its variance is that of what was subtracted before.
    detector
        Its read noise.
    dark
        Electrons of ``dark.info.dark_time_s``.
    has_bias
        Whether the bias level was subtracted before. If not it is inside the dark, which then can
        be used for exposures of its own time only.

    Raises
    ------
    AlgorithmError
        If the dark holds the bias level and is of another exposure time.
    """
    time_s, dark_time_s = get_info(exposure).dark_time_s, get_info(dark).dark_time_s
    if has_bias:
        scale = np.float32(time_s / dark_time_s)
        current = scale * dark.image
        read_noise = detector.paint([a.read_noise for a in detector.amplifiers])
    else:
        _check_dark_time(time_s, dark_time_s)
        scale = np.float32(1)
        current = dark.image - np.median(dark.image)
        # Measured on darks: it holds the dark current of a typical pixel already.
        typical = float(dark.metadata.get("read_noise_electron", detector.read_noise))
        read_noise = np.full_like(exposure.image, typical)
    image = exposure.image - scale * dark.image
    variance = exposure.variance + scale * scale * dark.variance
    return replace(
        exposure,
        image=image,
        variance=variance + predict_variance(image, current, read_noise=read_noise),
    )


def _check_dark_time(time_s: float, dark_time_s: float) -> None:
    """Refuse a dark of another exposure time: with its bias inside, it cannot be scaled."""
    if abs(time_s - dark_time_s) > 0.01 * max(dark_time_s, 1.0):
        raise AlgorithmError(
            f"The dark is of {dark_time_s:g} s, the exposure of {time_s:g} s; without a bias they "
            f"must be equal to 1 %."
        )


def divide_flat(exposure: Exposure, flat: Exposure) -> Exposure:
    """Divide by the flat; its error enters by the square of the signal.

    Parameters
    ----------
    exposure
        Electrons.
    flat
        Relative response.
    """
    square = flat.image * flat.image
    signal = np.clip(exposure.image, 0, None)
    variance = exposure.variance + flat.variance / square * signal * signal
    return replace(
        exposure,
        image=exposure.image / flat.image,
        variance=variance / square,
        mask=exposure.mask | (flat.mask & np.int32(MaskPlane.BAD)),
    )
