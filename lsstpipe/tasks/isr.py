"""isr: take the camera's signature out of a raw frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import NonNegativeInt

from lsstpipe import datasets
from lsstpipe.algorithms.noise import make_variance
from lsstpipe.algorithms.saturation import grow_saturated
from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import TaskConfig, get_info


class Config(TaskConfig):
    """How to take the camera's signature out."""

    saturation_growth_pix: NonNegativeInt = 1
    """Pixels that saturated regions are grown by, in all directions."""

    max_nan_fraction: float = 0.5
    """Share of pixels without a value from which a frame is given up."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """A raw frame and what is known of its camera."""

    raw: Annotated[Exposure, datasets.raw]
    dark: Annotated[Exposure, datasets.dark]
    defects: Annotated[Exposure, datasets.defects]
    flat: Annotated[Exposure | None, datasets.flat]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    post_isr_image: Annotated[Exposure, datasets.post_isr_image]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Take the camera's signature out of one raw frame.

    The order is that in which light and electronics put it in, backwards: saturation, gain, dark,
    defects, variance, flat.
    """
    raw, dark = inputs.raw, inputs.dark
    info = get_info(raw)
    n_unknown = int(has(raw.mask, MaskPlane.UNMASKEDNAN).sum())
    if n_unknown > config.max_nan_fraction * raw.image.size:
        raise AlgorithmError(
            f"{n_unknown / raw.image.size:.0%} of the pixels have no value; "
            f"at most {config.max_nan_fraction:.0%} may."
        )
    if inputs.dark.info is not None:
        _check_dark_time(info.dark_time_s, inputs.dark.info.dark_time_s)
    detector = get_camera(info.instrument).detector(data_id.integer("detector"))
    mask = raw.mask | (inputs.defects.mask & np.int32(MaskPlane.BAD))
    saturated = has(raw.mask, MaskPlane.SAT)
    grown = grow_saturated(saturated, radius=config.saturation_growth_pix)
    mask[grown] |= MaskPlane.SAT
    image = raw.image * np.float32(detector.gain) - dark.image
    read_noise = float(dark.metadata.get("read_noise_electron", detector.read_noise))
    variance = make_variance(image, dark.image, dark.variance, read_noise=read_noise)
    if inputs.flat is not None:
        mask |= inputs.flat.mask & np.int32(MaskPlane.BAD)
        relative = inputs.flat.variance / inputs.flat.image**2
        # Sky and source share the flat's error; it enters by the square of the signal.
        variance = variance + relative * np.clip(image, 0, None) ** 2
        image = image / inputs.flat.image
        variance = variance / inputs.flat.image**2
    return Outputs(
        Exposure(
            image=image.astype(np.float32),
            mask=mask,
            variance=variance.astype(np.float32),
            box=raw.box,
            unit="electron",
            info=info,
            metadata={
                "read_noise_electron": read_noise,
                "gain": detector.gain,
                "n_saturated_pixels": int(saturated.sum()),
                "n_bad_pixels": int(has(mask, MaskPlane.BAD).sum()),
            },
        )
    )


def _check_dark_time(time_s: float, dark_time_s: float) -> None:
    """Refuse a dark of another exposure time: with its bias inside, it cannot be scaled."""
    if abs(time_s - dark_time_s) > 0.01 * max(dark_time_s, 1.0):
        raise AlgorithmError(
            f"The dark is of {dark_time_s:g} s, the exposure of {time_s:g} s; without a bias they "
            f"must be equal to 1 %."
        )
