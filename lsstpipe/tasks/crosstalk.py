"""crosstalk: measure the ghosts of amplifiers in each other on frames of spots, or of stars.

Spots that light one amplifier at a time tell coefficients of 1e-5; the stars of a few science
frames, which are taken where there are no spots, tell hardly those of 1e-4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from lsstpipe import datasets
from lsstpipe.algorithms.crosstalk import CrosstalkMatrix
from lsstpipe.algorithms.crosstalk_fit import BrightPixels, find_bright, fit_crosstalk
from lsstpipe.algorithms.readout import take_apart
from lsstpipe.data_model import DataId
from lsstpipe.errors import NoWorkFound
from lsstpipe.image.detector import Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import Json
from lsstpipe.tasks.frames import know_electronics
from lsstpipe.tasks.signature import Signature, SignatureConfig, remove_signature


class Config(SignatureConfig):
    """How to find ghosts."""

    threshold_electron: PositiveFloat = 1000.0
    """Electrons above the background from which a pixel leaves ghosts to be measured."""

    min_pixels: PositiveInt = 300
    """Bright pixels that an amplifier needs for its ghosts to be measured."""

    max_error: PositiveFloat = 5e-5
    """Largest standard error of a coefficient that is of use; others are 0."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is measured."""

    raw: Annotated[Mapping[DataId, Exposure], datasets.raw]
    bias: Annotated[Exposure | None, datasets.bias]
    ptc: Annotated[Json | None, datasets.ptc] = None


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    crosstalk: Annotated[Json, datasets.crosstalk]


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
    names = tuple(a.name for a in detector.amplifiers)
    if len({a.box.shape for a in detector.amplifiers}) > 1 or len(names) == 1:
        raise NoWorkFound(
            f"Detector {detector.name} has no two amplifiers of one size that are read together."
        )
    signature = replace(know_electronics(inputs.ptc), bias=inputs.bias)
    exposures = [_find_bright(raw, detector, signature, config) for raw in inputs.raw.values()]
    fit = fit_crosstalk(
        exposures, threshold=config.threshold_electron, min_pixels=config.min_pixels
    )
    known = (fit.errors > 0) & (fit.errors <= config.max_error)
    if not known.any():
        raise NoWorkFound(
            f"Too few pixels are bright to measure crosstalk: {fit.n_pixels.max()} above "
            f"{config.threshold_electron:.0f} electrons in the best amplifier."
        )
    matrix = CrosstalkMatrix(names, np.where(known, fit.coefficients, 0.0))
    return Outputs(
        matrix.to_json_dict()
        | {"errors": fit.errors.tolist(), "n_pixels": [int(n) for n in fit.n_pixels]}
    )


def _find_bright(
    raw: Exposure, detector: Detector, signature: Signature, config: Config
) -> BrightPixels:
    """Collect the signals of all amplifiers of one exposure wherever one is bright."""
    made = remove_signature(raw, detector, signature, config)
    good = ~has(made.mask, MaskPlane.BAD | MaskPlane.SAT)
    # Ghosts appear in what is read at the same time.
    image, fine = take_apart(made.image, detector), take_apart(good, detector)
    return find_bright(image, fine, threshold=config.threshold_electron)
