"""The signature of a camera, and its removal from a raw frame, as far as it is known.

The order is that in which light and electronics put the signature in, backwards (Rubin's
``IsrTaskLSST``). `isr` removes all of it; the tasks that make calibrations remove what came before
their own. No hole is filled here: BAD and SAT pixels keep what was measured until `calibrate` has a
PSF to interpolate them with, and flags them INTRP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from lsstpipe.algorithms.brighter_fatter import BrighterFatterKernel, correct_brighter_fatter
from lsstpipe.algorithms.crosstalk import CrosstalkMatrix, subtract_crosstalk
from lsstpipe.algorithms.fringe import fit_fringe
from lsstpipe.algorithms.linearity import Linearizer, linearize
from lsstpipe.algorithms.noise import (
    Planes,
    add_photon_noise,
    divide_by_flat,
    guard_variance,
    subtract_bias,
    subtract_dark,
)
from lsstpipe.algorithms.overscan import Overscan, measure_overscan
from lsstpipe.algorithms.photon_transfer import PhotonTransfer
from lsstpipe.algorithms.readout import (
    Limits,
    assemble,
    assemble_mask,
    find_fault,
    read_amplifiers,
)
from lsstpipe.algorithms.saturation import grow_saturated
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import INVALID, MaskArray, MaskPlane, has
from lsstpipe.tasks.base import TaskConfig, get_info

FloatImage = npt.NDArray[np.float32]
Figures = dict[str, str | int | float]

_BAD = np.int32(MaskPlane.BAD)


class SignatureConfig(TaskConfig):
    """How to take the camera's signature out."""

    overscan_skip_first_pix: NonNegativeInt = 3
    """Columns of the overscan that are read first, next to the image, and left out."""

    overscan_skip_last_pix: NonNegativeInt = 1
    """Columns of the overscan that are read last and left out."""

    overscan_n_rows: PositiveInt = 1
    """Rows that the bias level is averaged over; 1 for row by row, more where the overscan picks up
    noise that the image does not."""

    use_parallel_overscan: bool = False
    """Whether to subtract the pattern of the columns that the parallel overscan shows too."""

    max_noise_ratio: PositiveFloat = 10.0
    """Noise of the overscan over the read noise from which an amplifier is given up as BAD."""

    max_saturated_fraction: PositiveFloat = 0.5
    """Share of saturated pixels from which an amplifier is given up as BAD; above 1 for never."""

    crosstalk_flag_electron: PositiveFloat = 5.0
    """Electrons of subtracted crosstalk from which a pixel is flagged CROSSTALK."""

    brighter_fatter_tolerance_electron: PositiveFloat = 1.0
    """Largest change of a pixel, electrons, that ends the brighter-fatter iteration."""

    brighter_fatter_max_iterations: PositiveInt = Field(default=10)
    """Iterations after which the brighter-fatter correction is given up."""


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
        A mask whose plane BAD is set on pixels that cannot be trusted.
    flat
        Relative response, mean 1.
    fringe
        Pattern of the night sky, mean 0, after the flat.
    ptc
        Measured gains and read noise; without it those of the camera's description are used. The
        gain of a header never is.
    crosstalk, linearizer, bfk
        See their classes.
    """

    bias: Exposure | None = None
    dark: Exposure | None = None
    defects: MaskArray | None = None
    flat: Exposure | None = None
    fringe: Exposure | None = None
    ptc: PhotonTransfer | None = None
    crosstalk: CrosstalkMatrix | None = None
    linearizer: Linearizer | None = None
    bfk: BrighterFatterKernel | None = None


def remove_signature(
    raw: Exposure, detector: Detector, signature: Signature, config: SignatureConfig
) -> Exposure:
    """Take the known part of the signature out of a raw frame.

    Parameters
    ----------
    raw
        Raw frame in ADU, on `Detector.raw_box`.
    detector
        Its geometry, and gains and read noise as far as they were not measured.
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
        If no amplifier works, or a calibration is of another exposure time or other amplifiers.
    """
    _check_amplifiers(detector, signature)
    known = apply_photon_transfer(detector, signature.ptc)
    image, mask, figures = _read_out(raw, known, signature, config)
    planes = (image, np.zeros_like(image))
    del image  # or what comes before the sharpening stays in memory after it
    has_bias = detector.has_overscan or signature.bias is not None
    if signature.bias is not None:
        # The master bias is in electrons by the described gains: the measured ones come after it.
        bias = signature.bias
        subtract_bias(planes, (bias.image, bias.variance), known, detector)
        mask |= bias.mask & _BAD
    if signature.dark is not None:
        scale, pedestal = _scale_dark(raw, signature.dark, has_bias=has_bias)
        dark = signature.dark
        subtract_dark(planes, dark.image, dark.variance, scale=scale, pedestal=pedestal)
    if signature.defects is not None:
        mask |= signature.defects & _BAD
    if signature.bfk is not None:
        planes = (_sharpen(planes[0], mask, signature.bfk, config, figures), planes[1])
    noise = _read_noise(known, signature.dark, has_bias=has_bias)
    add_photon_noise(planes, known, noise)
    if signature.flat is not None:
        divide_by_flat(planes, signature.flat.image, signature.flat.variance)
        mask |= signature.flat.mask & _BAD
    guard_variance(planes, mask)
    if signature.fringe is not None:
        _subtract_fringe(planes, mask, signature.fringe, figures)
    figures |= {
        "gain": known.gain,
        "read_noise_electron": float(np.sqrt(np.mean(np.square(noise)))),
        "n_bad_pixels": int(has(mask, MaskPlane.BAD).sum()),
    }
    return Exposure(
        *(planes[0], mask, planes[1], detector.box, "electron"),
        info=get_info(raw),
        metadata=figures,
    )


def apply_photon_transfer(detector: Detector, ptc: PhotonTransfer | None) -> Detector:
    """Give the detector with the gains and the read noise that were measured.

    Parameters
    ----------
    detector
        With those of the camera's description.
    ptc
        What was measured of its amplifiers, in their order; where it is not finite the
        description stays.
    """
    if ptc is None:
        return detector
    amplifiers = []
    measured = zip(ptc.gain, ptc.read_noise_electron, strict=True)
    for amplifier, (gain, noise) in zip(detector.amplifiers, measured, strict=True):
        amplifiers.append(
            replace(
                amplifier,
                gain=float(gain) if np.isfinite(gain) else amplifier.gain,
                read_noise=float(noise) if np.isfinite(noise) else amplifier.read_noise,
            )
        )
    return replace(detector, amplifiers=tuple(amplifiers))


def _check_amplifiers(detector: Detector, signature: Signature) -> None:
    """Refuse figures that are of other amplifiers, or of them in another order."""
    names = tuple(amplifier.name for amplifier in detector.amplifiers)
    for part in (signature.ptc, signature.crosstalk, signature.linearizer):
        if part is not None and part.amplifiers != names:
            raise AlgorithmError(
                f"A {type(part).__name__} is of the amplifiers {', '.join(part.amplifiers)}; "
                f"detector {detector.name} has {', '.join(names)}."
            )


def _read_out(
    raw: Exposure, detector: Detector, signature: Signature, config: SignatureConfig
) -> tuple[FloatImage, MaskArray, Figures]:
    """Go from the raw frame to the assembled image in electrons: what concerns amplifiers."""
    overscans = [_measure_overscan(raw.image, a, config) for a in detector.amplifiers]
    faults = _find_faults(raw, detector, overscans, config)
    mask = assemble_mask(raw.mask, detector)
    figures: Figures = {"n_saturated_pixels": int(has(mask, MaskPlane.SAT).sum())}
    cube = read_amplifiers(raw.image, detector, overscans)
    for own, amplifier in zip(cube, detector.amplifiers, strict=True):
        if amplifier.name in faults:
            # Whatever it holds, it must not leave ghosts in the others.
            own[:] = 0
            mask[amplifier.box.slices_in(detector.box)] |= _BAD
    _flag_turnoff(cube, mask, detector, signature.ptc)
    if signature.crosstalk is not None:
        flagged = subtract_crosstalk(
            cube, signature.crosstalk, flag_from=config.crosstalk_flag_electron
        )
        mask[assemble(flagged, detector)] |= MaskPlane.CROSSTALK
        figures["n_crosstalk_pixels"] = int(flagged.sum())
    if signature.linearizer is not None:
        for i, amplifier in enumerate(detector.amplifiers):
            linearize(cube[i], signature.linearizer, i, gain=amplifier.gain)
    figures |= {
        "n_bad_amplifiers": len(faults),
        "bad_amplifiers": "; ".join(f"{name}: {fault}" for name, fault in faults.items()),
    }
    if detector.has_overscan:
        noise = [o.noise_adu * a.gain for o, a in zip(overscans, detector.amplifiers, strict=True)]
        figures["overscan_noise_electron"] = float(np.median(noise))
    return assemble(cube, detector), mask, figures


def _measure_overscan(frame: FloatImage, amplifier: Amplifier, config: SignatureConfig) -> Overscan:
    """Measure the bias level of an amplifier as the configuration wants it."""
    return measure_overscan(
        frame,
        amplifier,
        skip=(config.overscan_skip_first_pix, config.overscan_skip_last_pix),
        n_rows=config.overscan_n_rows,
        with_parallel=config.use_parallel_overscan,
    )


def _find_faults(
    raw: Exposure, detector: Detector, overscans: Sequence[Overscan], config: SignatureConfig
) -> dict[str, str]:
    """Find the amplifiers that do not work, and why, by name; refuse a frame without any."""
    limits = Limits(config.max_noise_ratio, config.max_saturated_fraction)
    faults = {}
    for amplifier, overscan in zip(detector.amplifiers, overscans, strict=True):
        own = amplifier.data.slices_in(detector.raw_box)
        fault = find_fault(raw.image[own], raw.mask[own], amplifier, overscan, limits)
        if fault:
            faults[amplifier.name] = fault
    if len(faults) == len(detector.amplifiers):
        told = ", ".join(f"{name} is {fault}" for name, fault in faults.items())
        raise AlgorithmError(f"No amplifier of detector {detector.name} works: {told}.")
    return faults


def _flag_turnoff(
    cube: FloatImage, mask: MaskArray, detector: Detector, ptc: PhotonTransfer | None
) -> None:
    """Flag SUSPECT what lies beyond the level from which charge no longer stays in its pixel."""
    if ptc is None or not np.isfinite(ptc.turnoff_adu).any():
        return
    gain = np.array([a.gain for a in detector.amplifiers])
    limit = np.nan_to_num(ptc.turnoff_adu, nan=np.inf, posinf=np.inf) * gain
    beyond = cube > limit[:, None, None].astype(np.float32)
    if beyond.any():
        mask[assemble(beyond, detector)] |= MaskPlane.SUSPECT


def _scale_dark(raw: Exposure, dark: Exposure, *, has_bias: bool) -> tuple[float, float]:
    """Tell what the dark is multiplied by, and how much of it is the bias level.

    If the bias level was not subtracted before it is inside the dark, which then can be used for
    exposures of its own time only.
    """
    time_s, dark_time_s = get_info(raw).dark_time_s, get_info(dark).dark_time_s
    if has_bias:
        return time_s / dark_time_s, 0.0
    if abs(time_s - dark_time_s) > 0.01 * max(dark_time_s, 1.0):
        raise AlgorithmError(
            f"The dark is of {dark_time_s:g} s, the exposure of {time_s:g} s; without a bias they "
            f"must be equal to 1 %."
        )
    return 1.0, float(np.median(dark.image))


def _read_noise(detector: Detector, dark: Exposure | None, *, has_bias: bool) -> list[float]:
    """List the read noise of each amplifier, electrons."""
    if has_bias or dark is None:
        return [amplifier.read_noise for amplifier in detector.amplifiers]
    # Measured on darks: it holds the dark current of a typical pixel already.
    typical = float(dark.metadata.get("read_noise_electron", detector.read_noise))
    return [typical] * len(detector.amplifiers)


def _sharpen(
    image: FloatImage,
    mask: MaskArray,
    bfk: BrighterFatterKernel,
    config: SignatureConfig,
    figures: Figures,
) -> FloatImage:
    """Correct the brighter-fatter effect and note how it went.

    Charge that has run over along a column pushed nothing on its way: its pixels and those next to
    them are holes, or the sky beyond the end of a trail would lose a hundredth of its charge.
    """
    hole = grow_saturated(has(mask, MaskPlane.SAT), radius=1)
    made = correct_brighter_fatter(
        image,
        hole | has(mask, MaskPlane.BAD | MaskPlane.UNMASKEDNAN),
        bfk,
        tolerance=config.brighter_fatter_tolerance_electron,
        max_iterations=config.brighter_fatter_max_iterations,
    )
    figures["n_brighter_fatter_iterations"] = made.n_iterations
    return made.image


def _subtract_fringe(planes: Planes, mask: MaskArray, fringe: Exposure, figures: Figures) -> None:
    """Fit and subtract the fringes, and note how strong they were."""
    image, variance = planes
    fitted = fit_fringe(image, fringe.image, ~has(mask | fringe.mask, INVALID))
    amplitude = np.float32(fitted.amplitude)
    image -= amplitude * fringe.image
    variance += amplitude * amplitude * fringe.variance
    mask |= fringe.mask & _BAD
    figures["fringe_amplitude_electron"] = fitted.amplitude
    figures["fringe_amplitude_err_electron"] = fitted.amplitude_err
