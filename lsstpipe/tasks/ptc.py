"""ptc: measure gain, read noise and full well of each amplifier from pairs of flats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat

from lsstpipe import datasets
from lsstpipe.algorithms.flat_pairs import PairNoise, measure_noise, pair_up
from lsstpipe.algorithms.photon_transfer import PhotonTransfer
from lsstpipe.algorithms.photon_transfer_fit import GainFit, fit_gain
from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError, NoWorkFound
from lsstpipe.image.detector import Amplifier, Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import Json
from lsstpipe.tasks.flat_frames import FlatReader
from lsstpipe.tasks.signature import Signature, SignatureConfig

_UNKNOWN = GainFit(*(float("nan"),) * 5, 0)


class Config(SignatureConfig):
    """How to measure the noise of flats."""

    max_saturated_fraction: PositiveFloat = 1.1
    """As of `isr`, but never: frames that saturate are found and left out as such."""

    max_level_ratio: float = Field(default=1.3, ge=1)
    """Largest ratio of the levels of two flats that make a pair."""

    max_saturated_fraction_pair: float = Field(default=0.005, ge=0, le=1)
    """Share of the pixels of an amplifier that may be saturated or suspect in a flat."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is measured."""

    raw: Annotated[Mapping[DataId, Exposure], datasets.raw]
    bias: Annotated[Exposure | None, datasets.bias]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    ptc: Annotated[Json, datasets.ptc]


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Measure the amplifiers of one detector."""
    camera = get_camera(str(data_id["instrument"]))
    return measure(inputs, config, camera.detector(data_id.integer("detector")))


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
    reader = FlatReader(
        inputs.raw,
        detector,
        Signature(bias=inputs.bias),
        config,
        config.max_saturated_fraction_pair,
    )
    frames = reader.survey()
    pairs = pair_up(frames.settings, frames.levels(), max_ratio=config.max_level_ratio)
    if not pairs:
        raise NoWorkFound(f"No two of {len(frames.keys)} flats have one filter and one level.")
    noises: list[list[PairNoise]] = [[] for _ in detector.amplifiers]
    for one, other in pairs:
        both = zip(reader.read(frames.keys[one]), reader.read(frames.keys[other]), strict=True)
        for own, works, (first, second) in zip(noises, frames.working, both, strict=True):
            if works:
                own.append(measure_noise(first, second))
    read_noise = known_read_noise(detector, inputs.bias)
    fits = [
        _fit(own, amplifier, noise)
        for own, amplifier, noise in zip(noises, detector.amplifiers, read_noise, strict=True)
    ]
    if not any(np.isfinite(fit.gain) for fit in fits):
        raise AlgorithmError(f"No amplifier of detector {detector.name} shows the noise of light.")
    made = _make_product(detector, fits, read_noise, len(pairs))
    return Outputs(made | {"ramp": reader.to_json_dict(frames)})


def known_read_noise(detector: Detector, bias: Exposure | None) -> list[float]:
    """Give the read noise of each amplifier, as measured on the biases or else as described.

    Parameters
    ----------
    detector
        Its amplifiers.
    bias
        Master bias with what was measured on its frames.

    Returns
    -------
    list
        ADU, an amplifier each.
    """
    measured = bias.metadata if bias is not None else {}
    return [
        float(measured.get(f"read_noise_{a.name}", a.read_noise)) / a.gain
        for a in detector.amplifiers
    ]


def _fit(noises: list[PairNoise], amplifier: Amplifier, read_noise_adu: float) -> GainFit:
    """Fit an amplifier; one that is dead has no gain."""
    try:
        return fit_gain(noises, read_noise_adu=read_noise_adu)
    except AlgorithmError:
        return _UNKNOWN


def _make_product(
    detector: Detector, fits: list[GainFit], read_noise_adu: list[float], n_pairs: int
) -> Json:
    """Put the fits together; the read noise is that of the biases, which they tell best."""
    transfer = PhotonTransfer(
        amplifiers=tuple(a.name for a in detector.amplifiers),
        gain=np.array([fit.gain for fit in fits]),
        gain_err=np.array([fit.gain_err for fit in fits]),
        read_noise_electron=np.array(
            [n * fit.gain for n, fit in zip(read_noise_adu, fits, strict=True)]
        ),
        turnoff_adu=np.array([fit.turnoff_adu for fit in fits]),
    )
    return transfer.to_json_dict() | {
        "n_pairs": n_pairs,
        "n_used": [fit.n_used for fit in fits],
        "bend": [fit.bend for fit in fits],
        "gain_described": [a.gain for a in detector.amplifiers],
    }
