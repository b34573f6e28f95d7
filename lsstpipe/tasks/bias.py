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
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import get_info, name_exposures
from lsstpipe.tasks.signature import Signature, SignatureConfig, remove_signature


class Config(SignatureConfig):
    """How to combine the biases."""

    n_sigma: PositiveFloat = 4.0
    """Distance in standard deviations from which a value of a pixel is an outlier."""

    max_level_offset_electron: PositiveFloat = 50.0
    """Electrons between the level of a bias and that of most from which it is left out; five times
    the scatter of the levels is allowed in any case."""

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
    detector = camera.detector(data_id.integer("detector"))
    stack = np.empty((len(inputs.raw), detector.ny, detector.nx), np.float32)
    infos, figures = [], []
    for own, raw in zip(stack, inputs.raw.values(), strict=True):
        made = remove_signature(raw, detector, Signature(), config)
        own[:] = np.where(has(made.mask, MaskPlane.SAT | MaskPlane.BAD), np.nan, made.image)
        infos.append(get_info(raw))
        figures.append(measure_frame(own))
    odd = find_odd_frames(
        np.array([f.level for f in figures]),
        np.array([f.spread for f in figures]),
        max_level_offset=config.max_level_offset_electron,
        max_spread_ratio=config.max_spread_ratio,
    )
    used = stack if not odd.any() else stack[~odd]
    read_noise = detector.paint([a.read_noise for a in detector.amplifiers])
    master = combine_biases(used, read_noise, n_sigma=config.n_sigma)
    unknown = master.n_used == 0
    return Outputs(
        Exposure(
            image=master.image,
            mask=np.where(unknown, np.int32(MaskPlane.BAD), np.int32(0)).astype(np.int32),
            variance=master.variance,
            box=detector.box,
            unit="electron",
            info=infos[int(np.flatnonzero(~odd)[0])],
            metadata={
                "n_inputs": len(used),
                "n_unknown": int(unknown.sum()),
                "left_out": name_exposures(infos, odd),
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
