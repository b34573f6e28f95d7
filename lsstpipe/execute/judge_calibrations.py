"""Judge the master frames of a simulated campaign against its truth, one detector at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lsstpipe.data_model import DataId
from lsstpipe.execute.truth import Products, Survey
from lsstpipe.image.detector import Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.instruments import get_camera
from lsstpipe.measure.metric import Metric
from lsstpipe.measure.signature_truth import calibration_errors

FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


def judge_calibrations(
    survey: Survey, products: Products, detector: int, bands: Sequence[str]
) -> list[Metric]:
    """Judge the master frames of a detector, as far as there are any.

    Parameters
    ----------
    survey
        What is true.
    products
        What was made.
    detector
        Its number.
    bands
        Those of its flats.
    """
    own, where = DataId(detector=detector), f"detector {detector}"
    good = survey.image(detector, "DEFECTS") == 0
    found: list[Metric] = []
    bias = products.exposure("bias", own)
    if bias is not None:
        true = _level(survey.image(detector, "BIAS"), bias, good)
        found.append(calibration_errors("bias", bias.image, true, good, where))
    dark = products.exposure("dark", own)
    if dark is not None and dark.info is not None:
        true = survey.image(detector, "DARK") * np.float32(dark.info.dark_time_s)
        found.append(calibration_errors("dark", dark.image, true, good, where))
    described = get_camera(survey.instrument).detector(detector)
    for band in bands:
        flat = products.flat(detector, band)
        if flat is None:
            continue
        usable = good & ~has(flat.mask, MaskPlane.BAD)
        true = survey.image(detector, f"FLAT_{band}")
        master, truth = (_by_amplifier(part, usable, described) for part in (flat.image, true))
        found.append(calibration_errors("flat", master, truth, usable, f"{where} band {band}"))
    return found


def _level(true: FloatImage, bias: Exposure, good: BoolArray) -> FloatImage:
    """Give the true bias the mean of the master: the overscan takes the mean off both."""
    shift = float(np.mean(bias.image[good]) - np.mean(true[good]))
    return true + np.float32(shift)


def _by_amplifier(image: FloatImage, good: BoolArray, detector: Detector) -> FloatImage:
    """Divide each amplifier by its mean: its response and its gain cannot be told apart."""
    result = image.copy()
    for amplifier in detector.amplifiers:
        own = amplifier.box.slices_in(detector.box)
        result[own] /= np.float32(np.mean(image[own][good[own]], dtype=np.float64))
    return result
