"""isr: take the camera's signature out of a raw frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import NonNegativeInt

from lsstpipe import datasets
from lsstpipe.algorithms.saturation import grow_saturated
from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import get_info
from lsstpipe.tasks.signature import Signature, SignatureConfig, remove_signature


class Config(SignatureConfig):
    """How to take the camera's signature out."""

    saturation_growth_pix: NonNegativeInt = 1
    """Pixels that saturated regions are grown by, in all directions."""

    max_nan_fraction: float = 0.5
    """Share of pixels without a value from which a frame is given up."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """A raw frame and what is known of its camera."""

    raw: Annotated[Exposure, datasets.raw]
    bias: Annotated[Exposure | None, datasets.bias]
    dark: Annotated[Exposure | None, datasets.dark]
    defects: Annotated[Exposure | None, datasets.defects]
    flat: Annotated[Exposure | None, datasets.flat]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    post_isr_image: Annotated[Exposure, datasets.post_isr_image]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Take the camera's signature out of one raw frame."""
    raw = inputs.raw
    n_unknown = int(has(raw.mask, MaskPlane.UNMASKEDNAN).sum())
    if n_unknown > config.max_nan_fraction * raw.image.size:
        raise AlgorithmError(
            f"{n_unknown / raw.image.size:.0%} of the pixels have no value; "
            f"at most {config.max_nan_fraction:.0%} may."
        )
    detector = get_camera(get_info(raw).instrument).detector(data_id.integer("detector"))
    signature = Signature(
        bias=inputs.bias, dark=inputs.dark, defects=inputs.defects, flat=inputs.flat
    )
    made = remove_signature(raw, detector, signature, config)
    saturated = grow_saturated(has(made.mask, MaskPlane.SAT), radius=config.saturation_growth_pix)
    made.mask[saturated] |= MaskPlane.SAT
    return Outputs(made)
