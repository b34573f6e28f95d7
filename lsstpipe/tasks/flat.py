"""flat: make a super-sky flat of a detector and filter from dithered science exposures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat

from lsstpipe import datasets
from lsstpipe.algorithms.defects import find_bad_response
from lsstpipe.algorithms.flat import combine_sky
from lsstpipe.data_model import DataId
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import get_info
from lsstpipe.tasks.signature import Signature, SignatureConfig, remove_signature


class Config(SignatureConfig):
    """How to combine the sky."""

    n_sigma: PositiveFloat = 3.5
    """Distance in standard deviations from which a value of a pixel is an outlier."""

    response_size_pix: int = Field(default=15, ge=3)
    """Side of the neighbourhood that the response of a pixel is compared with, odd, in pixels."""

    min_response: float = Field(default=0.9, gt=0, lt=1)
    """Least response of a good pixel, relative to its neighbourhood."""

    max_response: float = Field(default=1.1, gt=1)
    """Largest response of a good pixel, relative to its neighbourhood."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a sky flat is made of."""

    raw: Annotated[Mapping[DataId, Exposure], datasets.raw]
    dark: Annotated[Exposure, datasets.dark]
    defects: Annotated[Exposure, datasets.defects]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    flat: Annotated[Exposure, datasets.flat]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Make the flat of one detector and filter."""
    raws = list(inputs.raw.values())
    info = get_info(raws[0])
    detector = get_camera(info.instrument).detector(data_id.integer("detector"))
    signature = Signature(dark=inputs.dark, defects=inputs.defects)
    images = [remove_signature(raw, detector, signature, config) for raw in raws]
    skies = np.stack([i.image for i in images])
    bad = np.stack([has(i.mask, MaskPlane.SAT | MaskPlane.BAD) for i in images])
    defects = has(inputs.defects.mask, MaskPlane.BAD)
    result = combine_sky(skies, bad, read_noise=detector.read_noise, n_sigma=config.n_sigma)
    poor = find_bad_response(
        result.image,
        size=config.response_size_pix,
        low=config.min_response,
        high=config.max_response,
    )
    unknown = result.n_used == 0
    mask = np.where(poor | unknown, np.int32(MaskPlane.BAD), np.int32(0)).astype(np.int32)
    return Outputs(
        Exposure(
            image=np.where(poor | unknown, np.float32(1), result.image),
            mask=mask,
            variance=result.variance,
            box=detector.box,
            unit="1",
            info=info,
            metadata={
                "n_inputs": len(raws),
                "n_bad": int((poor & ~defects).sum()),
                "noise": float(np.sqrt(np.median(result.variance))),
                "sky_first_electron": float(result.level[0]),
                "sky_last_electron": float(result.level[-1]),
            },
        )
    )
