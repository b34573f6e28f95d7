"""bias: combine the biases of a detector into its master bias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat

from lsstpipe import datasets
from lsstpipe.algorithms.bias import combine_biases, measure_read_noise
from lsstpipe.algorithms.odd_frames import find_odd_frames, measure_frame
from lsstpipe.data_model import DataId
from lsstpipe.image.detector import Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.frames import name_left_out, read_stack
from lsstpipe.tasks.signature import Signature, SignatureConfig


class Config(SignatureConfig):
    """How to combine the biases."""

    n_sigma: PositiveFloat = 4.0
    """Distance in standard deviations from which a value of a pixel is an outlier."""

    max_level_offset_electron: PositiveFloat = 50.0
    """Electrons between the level of a bias and that of most from which it is left out; five times
    the scatter of the levels is allowed in any case."""

    max_saturated_fraction: PositiveFloat = 1.1
    """As of `isr`, but never: frames that saturate are found and left out as such."""

    max_spread_ratio: float = Field(default=2.0, gt=1)
    """Ratio of the noise of a bias to that of most, or its inverse, from which it is left out."""


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
    camera = get_camera(str(data_id["instrument"]))
    return combine(inputs, config, camera.detector(data_id.integer("detector")))


def combine(inputs: Inputs, config: Config, detector: Detector) -> Outputs:
    """Combine the biases of a detector without those that are none.

    Parameters
    ----------
    inputs, config
        As of `run`.
    detector
        Its amplifiers.
    """
    stack = read_stack(inputs.raw, detector, Signature(), config)
    figures = [measure_frame(image) for image in stack.images]
    levels = np.array([f.level for f in figures])
    odd = find_odd_frames(
        levels,
        np.array([f.spread for f in figures]),
        max_level_offset=config.max_level_offset_electron,
        max_spread_ratio=config.max_spread_ratio,
    )
    used = stack.images if not odd.any() else stack.images[~odd]
    read_noise = detector.paint([a.read_noise for a in detector.amplifiers])
    master = combine_biases(used, read_noise, n_sigma=config.n_sigma)
    unknown = master.n_used == 0
    reasons = {
        i: f"no bias, its level is {levels[i]:.0f} electrons" for i in np.flatnonzero(odd).tolist()
    }
    return Outputs(
        Exposure(
            image=master.image,
            mask=np.where(unknown, np.int32(MaskPlane.BAD), np.int32(0)).astype(np.int32),
            variance=master.variance,
            box=detector.box,
            unit="electron",
            info=stack.infos[int(np.flatnonzero(~odd)[0])],
            metadata={
                "n_inputs": len(used),
                "n_unknown": int(unknown.sum()),
                "left_out": name_left_out(stack, reasons),
                **_measure_read_noise(used, detector),
            },
        )
    )


def _measure_read_noise(stack: npt.NDArray[np.float32], detector: Detector) -> dict[str, float]:
    """Measure the read noise of each amplifier, in electrons by its described gain."""
    return {
        f"read_noise_{a.name}": measure_read_noise(stack[(slice(None), *own)])
        for a in detector.amplifiers
        for own in [a.box.slices_in(detector.box)]
    }
