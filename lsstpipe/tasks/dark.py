"""dark: combine the darks of a detector into its master dark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat

from lsstpipe import datasets
from lsstpipe.algorithms.dark import combine_darks
from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import get_info
from lsstpipe.tasks.signature import Signature, SignatureConfig, remove_signature


class Config(SignatureConfig):
    """How to combine the darks."""

    n_sigma: PositiveFloat = 4.0
    """Distance in standard deviations from which a value of a pixel is an outlier."""

    max_exposure_time_ratio: float = Field(default=1.01, ge=1.0)
    """Longest over shortest exposure time of the darks: without a bias they cannot be scaled."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a master dark is made of."""

    raw: Annotated[Mapping[DataId, Exposure], datasets.raw]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    dark: Annotated[Exposure, datasets.dark]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Combine the darks of one detector."""
    raws = list(inputs.raw.values())
    infos = [get_info(raw) for raw in raws]
    times = [info.exposure_time_s for info in infos]
    if max(times) > config.max_exposure_time_ratio * min(times):
        raise AlgorithmError(
            f"Darks must have one exposure time as long as there is no bias; "
            f"got {min(times):g} to {max(times):g} s."
        )
    detector = get_camera(infos[0].instrument).detector(data_id.integer("detector"))
    invalid = MaskPlane.SAT | MaskPlane.BAD
    images = (remove_signature(raw, detector, Signature(), config) for raw in raws)
    stack = np.stack([np.where(has(i.mask, invalid), np.nan, i.image) for i in images])
    master = combine_darks(stack, read_noise=detector.read_noise, n_sigma=config.n_sigma)
    mask = np.where(np.isfinite(stack).any(axis=0), 0, int(MaskPlane.BAD)).astype(np.int32)
    mask[master.excess > 5] |= MaskPlane.SUSPECT
    return Outputs(
        Exposure(
            image=master.image,
            mask=mask,
            variance=master.variance,
            box=detector.box,
            unit="electron",
            info=infos[0],
            metadata={
                "n_inputs": len(raws),
                "read_noise_electron": master.read_noise,
                "typical_level_electron": float(np.median(master.level)),
                "level_first_electron": float(master.level[0]),
                "level_last_electron": float(master.level[-1]),
            },
        )
    )
