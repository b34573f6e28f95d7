"""defects: find the pixels of a detector that its dark cannot mend."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import PositiveFloat

from lsstpipe import datasets
from lsstpipe.algorithms.defects import find_hot_pixels
from lsstpipe.data_model import DataId
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.tasks.base import TaskConfig


class Config(TaskConfig):
    """Which pixels are defects."""

    max_current_electron: PositiveFloat = 250.0
    """Dark signal above the median in one exposure, in electrons, from which a pixel is bad."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What defects are found on."""

    dark: Annotated[Exposure, datasets.dark]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    defects: Annotated[Exposure, datasets.defects]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Find the hot and unsteady pixels of one detector."""
    dark = inputs.dark
    unsteady = has(dark.mask, MaskPlane.SUSPECT | MaskPlane.BAD)
    bad = find_hot_pixels(dark.image, max_current=config.max_current_electron) | unsteady
    mask = np.where(bad, np.int32(MaskPlane.BAD), np.int32(0)).astype(np.int32)
    metadata = {"n_hot": int(bad.sum() - unsteady.sum()), "n_unsteady": int(unsteady.sum())}
    return Outputs(replace(dark, mask=mask, metadata=metadata))
