"""isr: take the camera's signature out of a raw frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import NonNegativeInt

from lsstpipe import datasets
from lsstpipe.algorithms.brighter_fatter import BrighterFatterKernel
from lsstpipe.algorithms.crosstalk import CrosstalkMatrix
from lsstpipe.algorithms.linearity import Linearizer
from lsstpipe.algorithms.photon_transfer import PhotonTransfer
from lsstpipe.algorithms.saturation import grow_saturated, widen_trails
from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskArray, MaskPlane, has
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import Json, get_info
from lsstpipe.tasks.signature import Signature, SignatureConfig, remove_signature


class Config(SignatureConfig):
    """How to take the camera's signature out."""

    widen_saturation_trails: bool = True
    """Whether saturated regions of 6 pixels and more along a row are widened by 1 to 4 pixels."""

    saturation_growth_pix: NonNegativeInt = 1
    """Pixels that saturated regions are then grown by, in all directions."""

    max_nan_fraction: float = 0.5
    """Share of pixels without a value from which a frame is given up."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """A raw frame and what is known of its camera."""

    raw: Annotated[Exposure, datasets.raw]
    bias: Annotated[Exposure | None, datasets.bias] = None
    dark: Annotated[Exposure | None, datasets.dark] = None
    defects: Annotated[MaskArray | None, datasets.defects] = None
    flat: Annotated[Exposure | None, datasets.flat] = None
    ptc: Annotated[Json | None, datasets.ptc] = None
    crosstalk: Annotated[Json | None, datasets.crosstalk] = None
    linearizer: Annotated[Json | None, datasets.linearizer] = None
    bfk: Annotated[Json | None, datasets.bfk] = None
    fringe: Annotated[Exposure | None, datasets.fringe] = None


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
    made = remove_signature(raw, detector, _signature(inputs), config)
    saturated = has(made.mask, MaskPlane.SAT)
    if config.widen_saturation_trails:
        saturated = widen_trails(saturated)
    saturated = grow_saturated(saturated, radius=config.saturation_growth_pix)
    made.mask[saturated] |= MaskPlane.SAT
    return Outputs(made)


def _signature(inputs: Inputs) -> Signature:
    """Gather what is known of the detector."""
    ptc, crosstalk, linearizer, bfk = inputs.ptc, inputs.crosstalk, inputs.linearizer, inputs.bfk
    return Signature(
        bias=inputs.bias,
        dark=inputs.dark,
        defects=inputs.defects,
        flat=inputs.flat,
        fringe=inputs.fringe,
        ptc=None if ptc is None else PhotonTransfer.from_json_dict(ptc),
        crosstalk=None if crosstalk is None else CrosstalkMatrix.from_json_dict(crosstalk),
        linearizer=None if linearizer is None else Linearizer.from_json_dict(linearizer),
        bfk=None if bfk is None else BrighterFatterKernel.from_json_dict(bfk),
    )
