"""dark: combine the darks of a detector into its master dark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat

from lsstpipe import datasets
from lsstpipe.algorithms.dark import combine_darks, combine_scaled_darks
from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError
from lsstpipe.image.detector import Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import Json
from lsstpipe.tasks.frames import know_electronics, name_left_out, read_stack
from lsstpipe.tasks.signature import SignatureConfig


class Config(SignatureConfig):
    """How to combine the darks."""

    n_sigma: PositiveFloat = 4.0
    """Distance in standard deviations from which a value of a pixel is an outlier."""

    max_exposure_time_ratio: float = Field(default=1.01, ge=1.0)
    """Longest over shortest exposure time of the darks: without a bias they cannot be scaled."""

    max_deviation_n_sigma: PositiveFloat = 3.0
    """Median deviation of a pixel from dark to dark from which it is unsteady, in standard
    deviations; of three darks without fault one pixel in a hundred thousand is farther off."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a master dark is made of."""

    raw: Annotated[Mapping[DataId, Exposure], datasets.raw]
    bias: Annotated[Exposure | None, datasets.bias] = None
    ptc: Annotated[Json | None, datasets.ptc] = None


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    dark: Annotated[Exposure, datasets.dark]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Combine the darks of one detector."""
    camera = get_camera(str(data_id["instrument"]))
    return combine(inputs, config, camera.detector(data_id.integer("detector")))


def combine(inputs: Inputs, config: Config, detector: Detector) -> Outputs:
    """Combine the darks of a detector.

    Parameters
    ----------
    inputs, config
        As of `run`.
    detector
        Its amplifiers.

    Raises
    ------
    AlgorithmError
        If there are too few, or they have several times and their bias is not known.
    """
    signature = replace(know_electronics(inputs.ptc), bias=inputs.bias)
    frames = read_stack(inputs.raw, detector, signature, config)
    infos, stack = frames.infos, frames.images
    unknown = frames.unknown
    times = np.array([info.dark_time_s for info in infos])
    if detector.has_overscan or inputs.bias is not None:
        master = combine_scaled_darks(
            stack, times, read_noise=detector.read_noise, n_sigma=config.n_sigma
        )
        time_s = float(times.mean())
    else:
        _check_times([info.exposure_time_s for info in infos], config)
        master = combine_darks(stack, read_noise=detector.read_noise, n_sigma=config.n_sigma)
        time_s = infos[0].dark_time_s
    mask = np.where(unknown, np.int32(MaskPlane.BAD), np.int32(0)).astype(np.int32)
    mask[master.excess > config.max_deviation_n_sigma] |= MaskPlane.SUSPECT
    return Outputs(
        Exposure(
            image=master.image,
            mask=mask,
            variance=master.variance,
            box=detector.box,
            unit="electron",
            info=replace(infos[0], dark_time_s=time_s),
            metadata={
                "n_inputs": len(infos),
                "left_out": name_left_out(frames, {}),
                "read_noise_electron": master.read_noise,
                "typical_level_electron": float(np.median(master.level)),
                "level_first_electron": float(master.level[0]),
                "level_last_electron": float(master.level[-1]),
            },
        )
    )


def _check_times(times_s: list[float], config: Config) -> None:
    """Refuse darks that hold the bias level and have several exposure times."""
    if max(times_s) > config.max_exposure_time_ratio * min(times_s):
        raise AlgorithmError(
            f"Darks must have one exposure time as long as there is no bias; "
            f"got {min(times_s):g} to {max(times_s):g} s."
        )
