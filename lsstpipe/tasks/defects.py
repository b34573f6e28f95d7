"""defects: find the pixels of a detector that its dark and its bias cannot mend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat

from lsstpipe import datasets
from lsstpipe.algorithms.defects import complete_columns, find_hot_pixels
from lsstpipe.data_model import DataId
from lsstpipe.errors import NoWorkFound
from lsstpipe.image.detector import Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import TaskConfig


class Config(TaskConfig):
    """Which pixels are defects."""

    max_current_electron: PositiveFloat = 250.0
    """Dark signal above the median in one exposure, in electrons, from which a pixel is bad."""

    max_bias_electron: PositiveFloat = 250.0
    """Signal of a bias above the median, in electrons, from which a pixel is bad."""

    min_column_fraction: float = Field(default=0.25, gt=0, le=1)
    """Share of the bad pixels of a column of an amplifier from which all of it is bad."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What defects are found on."""

    bias: Annotated[Exposure | None, datasets.bias]
    dark: Annotated[Exposure | None, datasets.dark]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    defects: Annotated[Exposure, datasets.defects]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Find the hot, unsteady and unknown pixels of one detector, and its bad columns."""
    camera = get_camera(str(data_id["instrument"]))
    return find(inputs, config, camera.detector(data_id.integer("detector")))


def find(inputs: Inputs, config: Config, detector: Detector) -> Outputs:
    """Find the bad pixels and columns of a detector.

    Parameters
    ----------
    inputs, config
        As of `run`.
    detector
        Its amplifiers.

    Raises
    ------
    NoWorkFound
        If there is neither dark nor bias.
    """
    master = inputs.dark if inputs.dark is not None else inputs.bias
    if master is None:
        raise NoWorkFound(f"Detector {detector.name} has neither dark nor bias.")
    hot = np.zeros(master.image.shape, dtype=bool)
    unsteady = np.zeros_like(hot)
    for image, limit in (
        (inputs.bias, config.max_bias_electron),
        (inputs.dark, config.max_current_electron),
    ):
        if image is not None:
            hot |= find_hot_pixels(image.image, max_current=limit)
            unsteady |= has(image.mask, MaskPlane.SUSPECT | MaskPlane.BAD)
    single = hot | unsteady
    boxes = [a.box for a in detector.amplifiers]
    bad = complete_columns(single, boxes, min_fraction=config.min_column_fraction)
    return Outputs(
        Exposure(
            image=np.zeros_like(master.image),
            mask=np.where(bad, np.int32(MaskPlane.BAD), np.int32(0)).astype(np.int32),
            variance=np.zeros_like(master.image),
            box=detector.box,
            unit="electron",
            info=master.info,
            metadata={
                "n_hot": int((hot & ~unsteady).sum()),
                "n_unsteady": int(unsteady.sum()),
                "n_column": int((bad & ~single).sum()),
            },
        )
    )
