"""linearizer: measure how far each amplifier is from linear, from flats of rising times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat

from lsstpipe import datasets
from lsstpipe.algorithms.linearity import Linearizer
from lsstpipe.algorithms.linearity_fit import LinearityFit, fit_linearity
from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError, NoWorkFound
from lsstpipe.image.detector import Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import Json
from lsstpipe.tasks.flat_frames import FlatFrames, FlatReader
from lsstpipe.tasks.signature import Signature, SignatureConfig


class Config(SignatureConfig):
    """How to measure the curve of the amplifiers."""

    max_saturated_fraction: PositiveFloat = 1.1
    """As of `isr`, but never: frames that saturate are found and left out as such."""

    max_saturated_fraction_level: float = Field(default=0.005, ge=0, le=1)
    """Share of the pixels of an amplifier that may be saturated or suspect in a flat."""

    max_residual: PositiveFloat = 0.005
    """Scatter of the corrected signals, relative, from which a fit is of no use."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is measured."""

    raw: Annotated[Mapping[DataId, Exposure], datasets.raw]
    bias: Annotated[Exposure | None, datasets.bias]
    ptc: Annotated[Json | None, datasets.ptc]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    linearizer: Annotated[Json, datasets.linearizer]


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
        config.max_saturated_fraction_level,
    )
    frames = reader.survey(inputs.ptc)
    turnoffs = [np.inf] * len(detector.amplifiers)
    if inputs.ptc is not None:
        known = np.array(inputs.ptc["turnoff_adu"], dtype=np.float64)
        turnoffs = np.where(np.isfinite(known), known, np.inf).tolist()
    fits, reasons = _fit_amplifiers(frames, turnoffs, config)
    if not any(fits):
        raise NoWorkFound(reasons[0])
    names = tuple(a.name for a in detector.amplifiers)
    curve = np.array([[fit.coefficient if fit else np.nan] for fit in fits])
    made = Linearizer(names, "quadratic", curve, np.empty((len(names), 0)))
    found = [fit for fit in fits if fit]
    return Outputs(
        made.to_json_dict()
        | {
            "coefficient_err": [fit.coefficient_err if fit else np.nan for fit in fits],
            "drift": float(np.mean([fit.drift for fit in found])),
            "residual_mmag": float(max(fit.residual for fit in found) * 2500 / np.log(10)),
            "n_flats": max(fit.n_used for fit in found),
        }
    )


def _fit_amplifiers(
    frames: FlatFrames, turnoffs: list[float], config: Config
) -> tuple[list[LinearityFit | None], list[str]]:
    """Fit all amplifiers by the flats of the filter that has most; say why one cannot be."""
    filters = Counter(frames.filters)
    chosen = max(sorted(filters), key=lambda name: filters[name])
    own = np.array([name == chosen for name in frames.filters])
    times, mjd = frames.times_s[own], frames.mid_mjd[own]
    fits: list[LinearityFit | None] = []
    reasons = []
    for levels, turnoff in zip(frames.levels_adu[own].T, turnoffs, strict=True):
        try:
            fit = fit_linearity(levels, times, mjd, max_adu=turnoff)
        except AlgorithmError as error:
            fits.append(None)
            reasons.append(str(error))
            continue
        if fit.residual > config.max_residual:
            reasons.append(
                f"Flats scatter by {fit.residual:.2%} around their exposure times; linearity needs "
                f"{config.max_residual:.2%}."
            )
        fits.append(fit if fit.residual <= config.max_residual else None)
    return fits, reasons
