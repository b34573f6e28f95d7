"""flat: make the flat of a detector and filter, of flat frames or of dithered science exposures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat

from lsstpipe import datasets
from lsstpipe.algorithms.defects import complete_columns, find_bad_response
from lsstpipe.algorithms.flat import combine_sky
from lsstpipe.algorithms.lamp_flat import FlatLimits, combine_lamp_flats
from lsstpipe.data_model import DataId
from lsstpipe.image.detector import Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskArray, MaskPlane, has
from lsstpipe.instruments import get_camera
from lsstpipe.tasks.base import Json
from lsstpipe.tasks.frames import FrameStack, know_electronics, name_left_out, read_stack
from lsstpipe.tasks.signature import SignatureConfig

FloatImage = npt.NDArray[np.float32]
Figures = dict[str, str | int | float]


class Config(SignatureConfig):
    """How to combine flats or skies."""

    max_saturated_fraction: PositiveFloat = 1.1
    """As of `isr`, but never: frames that saturate are found and left out as such."""

    n_sigma: PositiveFloat = 3.5
    """Distance in standard deviations from which a value of a pixel is an outlier."""

    response_size_pix: int = Field(default=15, ge=3)
    """Side of the neighbourhood that the response of a pixel is compared with, odd, in pixels."""

    min_response: float = Field(default=0.9, gt=0, lt=1)
    """Least response of a good pixel, relative to its neighbourhood, on skies."""

    max_response: float = Field(default=1.1, gt=1)
    """Largest response of a good pixel, relative to its neighbourhood, on skies."""

    lamp_min_response: float = Field(default=0.95, gt=0, lt=1)
    """Least response of a good pixel, relative to its neighbourhood, on flat frames."""

    lamp_max_response: float = Field(default=1.05, gt=1)
    """Largest response of a good pixel, relative to its neighbourhood, on flat frames."""

    min_column_fraction: float = Field(default=0.25, gt=0, le=1)
    """Share of the bad pixels of a column of an amplifier from which all of it is bad."""

    lamp_min_level_electron: PositiveFloat = 2000.0
    """Level below which a flat frame is left out."""

    lamp_max_saturated_fraction: float = Field(default=0.02, ge=0, le=1)
    """Share of saturated pixels from which a flat frame is left out."""

    lamp_max_shape_drift: PositiveFloat = 0.02
    """Relative difference of the light from that of most, over cells of an eighth of the detector,
    from which a flat frame is left out."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a flat is made of."""

    raw: Annotated[Mapping[DataId, Exposure], datasets.raw]
    bias: Annotated[Exposure | None, datasets.bias]
    dark: Annotated[Exposure | None, datasets.dark]
    defects: Annotated[MaskArray | None, datasets.defects]
    ptc: Annotated[Json | None, datasets.ptc] = None
    crosstalk: Annotated[Json | None, datasets.crosstalk] = None
    linearizer: Annotated[Json | None, datasets.linearizer] = None


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the task makes."""

    flat: Annotated[Exposure, datasets.flat]


@dataclass(frozen=True, slots=True)
class Response:
    """Response of the pixels, before those that are bad are taken out."""

    image: FloatImage
    variance: FloatImage
    n_used: npt.NDArray[np.int64]
    limits: tuple[float, float]
    figures: Figures


def run(inputs: Inputs, config: Config, data_id: DataId) -> Outputs:
    """Make the flat of one detector and filter."""
    camera = get_camera(str(data_id["instrument"]))
    return combine(inputs, config, camera.detector(data_id.integer("detector")))


def combine(inputs: Inputs, config: Config, detector: Detector) -> Outputs:
    """Make the flat of a detector of flat frames or of skies, whichever the raws are.

    Parameters
    ----------
    inputs, config
        As of `run`.
    detector
        Its amplifiers.
    """
    electronics = know_electronics(inputs.ptc, inputs.crosstalk, inputs.linearizer)
    signature = replace(electronics, bias=inputs.bias, dark=inputs.dark, defects=inputs.defects)
    stack = read_stack(inputs.raw, detector, signature, config)
    is_lamp = stack.infos[0].observation_type == "flat"
    made_of = (_combine_lamp if is_lamp else _combine_sky)(stack, detector, config)
    low, high = made_of.limits
    poor = find_bad_response(made_of.image, size=config.response_size_pix, low=low, high=high)
    boxes = [a.box for a in detector.amplifiers]
    poor = complete_columns(poor, boxes, min_fraction=config.min_column_fraction)
    bad = poor | (made_of.n_used == 0)
    known = np.zeros_like(bad) if inputs.defects is None else has(
        inputs.defects, MaskPlane.BAD
    )  # fmt: skip
    return Outputs(
        Exposure(
            image=np.where(bad, np.float32(1), made_of.image),
            mask=np.where(bad, np.int32(MaskPlane.BAD), np.int32(0)).astype(np.int32),
            variance=made_of.variance,
            box=detector.box,
            unit="1",
            info=stack.infos[0],
            metadata={
                "n_inputs": len(stack.infos),
                "n_bad": int((poor & ~known).sum()),
                "noise": float(np.sqrt(np.median(made_of.variance))),
                **made_of.figures,
            },
        )
    )


def _combine_sky(stack: FrameStack, detector: Detector, config: Config) -> Response:
    """Average the skies of science exposures."""
    made = combine_sky(
        stack.images,
        ~np.isfinite(stack.images),
        read_noise=detector.read_noise,
        n_sigma=config.n_sigma,
    )
    figures: Figures = {
        "made_of": "science",
        "left_out": name_left_out(stack, {}),
        "sky_first_electron": float(made.level[0]),
        "sky_last_electron": float(made.level[-1]),
    }
    limits = (config.min_response, config.max_response)
    return Response(made.image, made.variance, made.n_used, limits, figures)


def _combine_lamp(stack: FrameStack, detector: Detector, config: Config) -> Response:
    """Average flat frames, without those that are of no use."""
    limits = FlatLimits(
        config.lamp_min_level_electron,
        min(a.suspect_adu * a.gain for a in detector.amplifiers),
        config.lamp_max_saturated_fraction,
        config.lamp_max_shape_drift,
    )
    made = combine_lamp_flats(
        stack.images,
        stack.saturated,
        read_noise=detector.paint([a.read_noise for a in detector.amplifiers]),
        n_sigma=config.n_sigma,
        limits=limits,
    )
    figures: Figures = {
        "made_of": "flat",
        "n_used": sum(not fault for fault in made.faults),
        "left_out": name_left_out(stack, {i: f for i, f in enumerate(made.faults) if f}),
        "level_electron": float(np.nanmedian(made.level)),
    }
    response = (config.lamp_min_response, config.lamp_max_response)
    return Response(made.image, made.variance, made.n_used, response, figures)
