"""bias: combine the biases of a detector into its master bias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import PositiveFloat

from lsstpipe import datasets
from lsstpipe.algorithms.bias import combine_biases
from lsstpipe.data_model import DataId
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import get_info
from lsstpipe.tasks.signature import Signature, SignatureConfig, remove_signature


class Config(SignatureConfig):
    """How to combine the biases."""

    n_sigma: PositiveFloat = 4.0
    """Distance in standard deviations from which a value of a pixel is an outlier."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a master bias is made of."""

    raw: Annotated[Mapping[DataId, Exposure], datasets.raw]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    bias: Annotated[Exposure, datasets.bias]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Combine the biases of one detector."""
    raws = list(inputs.raw.values())
    info = get_info(raws[0])
    detector = get_camera(info.instrument).detector(data_id.integer("detector"))
    images = (remove_signature(raw, detector, Signature(), config) for raw in raws)
    invalid = MaskPlane.SAT | MaskPlane.BAD
    stack = np.stack([np.where(has(i.mask, invalid), np.nan, i.image) for i in images])
    read_noise = detector.paint([a.read_noise for a in detector.amplifiers])
    master = combine_biases(stack, read_noise, n_sigma=config.n_sigma)
    unknown = ~np.isfinite(stack).any(axis=0)
    return Outputs(
        Exposure(
            image=master.image,
            mask=np.where(unknown, np.int32(MaskPlane.BAD), np.int32(0)).astype(np.int32),
            variance=master.variance,
            box=detector.box,
            unit="electron",
            info=info,
            metadata={"n_inputs": len(raws), "n_unknown": int(unknown.sum())},
        )
    )
