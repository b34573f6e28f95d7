"""fringe: make the fringe frame of a detector and filter from dithered science exposures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import PositiveFloat

from lsstpipe import datasets
from lsstpipe.algorithms.fringe_map import map_fringes
from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError, NoWorkFound
from lsstpipe.image.detector import Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskArray, MaskPlane
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import Json
from lsstpipe.tasks.frames import know_electronics, read_stack
from lsstpipe.tasks.signature import SignatureConfig


class Config(SignatureConfig):
    """How to combine the sky."""

    n_sigma: PositiveFloat = 3.5
    """Distance in standard deviations from which a value of a pixel is an outlier."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a fringe frame is made of."""

    raw: Annotated[Mapping[DataId, Exposure], datasets.raw]
    bias: Annotated[Exposure | None, datasets.bias]
    dark: Annotated[Exposure | None, datasets.dark]
    defects: Annotated[MaskArray | None, datasets.defects]
    flat: Annotated[Exposure | None, datasets.flat]
    ptc: Annotated[Json | None, datasets.ptc] = None
    crosstalk: Annotated[Json | None, datasets.crosstalk] = None
    linearizer: Annotated[Json | None, datasets.linearizer] = None


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    fringe: Annotated[Exposure, datasets.fringe]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Make the fringe frame of one detector and filter."""
    camera = get_camera(str(data_id["instrument"]))
    return combine(inputs, config, camera.detector(data_id.integer("detector")))


def combine(inputs: Inputs, config: Config, detector: Detector) -> Outputs:
    """Make the fringe frame of a detector.

    Parameters
    ----------
    inputs, config
        As of `run`.
    detector
        Its amplifiers.

    Raises
    ------
    NoWorkFound
        If the exposures are too few or show no fringes.
    """
    electronics = know_electronics(inputs.ptc, inputs.crosstalk, inputs.linearizer)
    signature = replace(
        electronics,
        bias=inputs.bias,
        dark=inputs.dark,
        defects=inputs.defects,
        flat=inputs.flat,
    )
    stack = read_stack(inputs.raw, detector, signature, config)
    try:
        made_map = map_fringes(
            stack.images,
            ~np.isfinite(stack.images),
            read_noise=detector.read_noise,
            n_sigma=config.n_sigma,
        )
    except AlgorithmError as error:
        raise NoWorkFound(str(error)) from error
    unknown = made_map.n_used == 0
    return Outputs(
        Exposure(
            image=made_map.image,
            mask=np.where(unknown, np.int32(MaskPlane.BAD), np.int32(0)).astype(np.int32),
            variance=made_map.variance,
            box=detector.box,
            unit="1",
            info=stack.infos[0],
            metadata={"n_inputs": len(stack.infos), "strength": made_map.strength},
        )
    )
