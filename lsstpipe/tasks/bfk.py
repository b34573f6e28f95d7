"""bfk: measure the brighter-fatter kernel of a detector from the covariances of its flats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat

from lsstpipe import datasets
from lsstpipe.algorithms.brighter_fatter import BrighterFatterKernel
from lsstpipe.algorithms.brighter_fatter_fit import average_pushes, leave_push, solve_kernel
from lsstpipe.algorithms.flat_pairs import measure_covariances, pair_up
from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError, NoWorkFound
from lsstpipe.image.detector import Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import Json
from lsstpipe.tasks.flat_frames import FlatReader
from lsstpipe.tasks.frames import know_electronics
from lsstpipe.tasks.signature import SignatureConfig

_DESCRIBED_ERROR = 0.05
"""Relative error of a gain that was not measured."""


class Config(SignatureConfig):
    """How to measure the covariances of flats."""

    max_saturated_fraction: PositiveFloat = 1.1
    """As of `isr`, but never: frames that saturate are found and left out as such."""

    max_level_ratio: float = Field(default=1.1, ge=1)
    """Largest ratio of the levels of two flats that make a pair."""

    max_saturated_fraction_pair: float = Field(default=0.005, ge=0, le=1)
    """Share of the pixels of an amplifier that may be saturated or suspect in a flat."""

    min_level_electron: PositiveFloat = 10000.0
    """Level from which a flat shows the effect above its noise."""

    min_neighbour_significance: NonNegativeFloat = 4.0
    """Covariance of the nearest neighbours over its error from which there is an effect at all."""

    max_lag_pix: int = Field(default=5, ge=1, le=12)
    """Distance in y and x to which charge pushes; the kernel has twice as many pixels and one."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is measured."""

    raw: Annotated[Mapping[DataId, Exposure], datasets.raw]
    bias: Annotated[Exposure | None, datasets.bias]
    ptc: Annotated[Json | None, datasets.ptc]
    linearizer: Annotated[Json | None, datasets.linearizer] = None


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    bfk: Annotated[Json, datasets.bfk]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Measure one detector: all its amplifiers have one kernel."""
    camera = get_camera(str(data_id["instrument"]))
    return measure(inputs, config, camera.detector(data_id.integer("detector")))


@dataclass(frozen=True, slots=True)
class _Gain:
    """Gain of an amplifier, its relative error, and the read noise in electrons."""

    gain: float
    relative_error: float
    read_noise: float


def _know_gains(ptc: Json | None, detector: Detector) -> list[_Gain]:
    """Give what was measured of each amplifier, and where nothing was what is described."""
    described = [_Gain(a.gain, _DESCRIBED_ERROR, a.read_noise) for a in detector.amplifiers]
    if ptc is None:
        return described
    measured = zip(ptc["gain"], ptc["gain_err"], ptc["read_noise_electron"], strict=True)
    return [
        plain
        if gain is None or not np.isfinite(gain)
        else _Gain(gain, error / gain, noise if noise is not None else plain.read_noise)
        for plain, (gain, error, noise) in zip(described, measured, strict=True)
    ]


def measure(inputs: Inputs, config: Config, detector: Detector) -> Outputs:
    """Measure the amplifiers of a detector.

    Parameters
    ----------
    inputs, config
        As of `run`.
    detector
        Its amplifiers.

    Raises
    ------
    NoWorkFound
        If the frames do not tell.
    """
    known = _know_gains(inputs.ptc, detector)
    reader = FlatReader(
        inputs.raw,
        detector,
        replace(know_electronics(None, None, inputs.linearizer), bias=inputs.bias),
        config,
        config.max_saturated_fraction_pair,
    )
    frames = reader.survey(inputs.ptc)
    levels = frames.levels(np.array([own.gain for own in known]))
    bright = [v if v >= config.min_level_electron else float("nan") for v in levels]
    pairs = pair_up(frames.settings, bright, max_ratio=config.max_level_ratio)
    if not pairs:
        raise NoWorkFound(
            f"No two of {len(frames.keys)} flats have one filter and one level above "
            f"{config.min_level_electron:.0f} electrons."
        )
    found = []
    for one, other in pairs:
        both = zip(reader.read(frames.keys[one]), reader.read(frames.keys[other]), strict=True)
        for own, works, (first, second) in zip(known, frames.working, both, strict=True):
            if works:
                scale = np.float32(own.gain)
                level, *spread = measure_covariances(
                    scale * first, scale * second, max_lag=config.max_lag_pix
                )
                # The error of the gain is one for all levels: they do not average it out.
                uncertain = own.relative_error * float(np.sqrt(len(pairs)))
                made = leave_push(level, *spread, read_noise=own.read_noise, gain_error=uncertain)
                found.append((level, *made))
    try:
        levels_e, covariances, errors = (np.array(v) for v in zip(*found, strict=True))
        push, error = average_pushes(
            levels_e, covariances, errors, min_significance=config.min_neighbour_significance
        )
    except AlgorithmError as problem:
        raise NoWorkFound(str(problem)) from problem
    kernel = BrighterFatterKernel(solve_kernel(push))
    return Outputs(
        kernel.to_json_dict()
        | {
            "n_pairs": len(pairs),
            "push": push.tolist(),
            "push_err": error.tolist(),
        }
    )
