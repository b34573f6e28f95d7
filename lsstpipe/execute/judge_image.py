"""Judge one image of a simulated campaign against its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.smooth_plane import subtract_smooth_plane
from lsstpipe.data_model import DataId
from lsstpipe.execute.truth import Products, Survey
from lsstpipe.image.detector import Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.image.photocalib import PhotoCalib
from lsstpipe.instruments import get_camera
from lsstpipe.measure.cosmic_ray_truth import CosmicRayHits, bright_core_metric, count_hits
from lsstpipe.measure.crosstalk_truth import crosstalk_pattern, subtract_surroundings
from lsstpipe.measure.metric import Metric
from lsstpipe.measure.signature_truth import (
    amplifier_steps,
    mask_recall,
    replacement_flags,
    sky_noise,
    sky_structure,
)
from lsstpipe.measure.star_growth import StarGrowth, measure_growth
from lsstpipe.measure.visit_truth import (
    PsfTable,
    StarTable,
    VisitTruth,
    compare_psf,
    empty_pixels,
    judge_detections,
    match_stars,
    measure_empty_sky,
)

FloatArray = npt.NDArray[np.float64]

_MIN_CROSSTALK_SIGMA = 0.05
_VERY_BRIGHT_SNR = 300.0
_UNSATURATED_SHARE, _SATURATED_SHARE = 0.8, 1.5


@dataclass(frozen=True, slots=True, eq=False)
class TalkedPixels:
    """Empty pixels into which bright ones talk, shape ``(n,)``.

    Attributes
    ----------
    residual, variance
        What they hold beyond their surroundings, electrons, and its variance.
    injected
        True crosstalk, electrons.
    row
        Row of the image.
    """

    residual: FloatArray
    variance: FloatArray
    injected: FloatArray
    row: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class JudgedImage:
    """What one image says.

    Attributes
    ----------
    metrics
        Those of the image alone.
    stars
        Its true stars, and what was measured of them.
    has_joint
        Whether the joint fit gave it a scale.
    empty_sky
        Fluxes of empty apertures and their errors.
    hits
        Flags on cosmic rays.
    real
        Whether something is at each detection; None where a satellite crossed the image.
    psf
        Model and true PSF; None without a model.
    talked, growth
        What is left of the chain behind the pixels.
    full_well
        Electrons that a pixel of the detector holds.
    """

    metrics: list[Metric]
    stars: StarTable
    has_joint: bool
    empty_sky: tuple[FloatArray, FloatArray]
    hits: CosmicRayHits
    real: npt.NDArray[np.bool_] | None
    psf: PsfTable | None
    talked: TalkedPixels
    growth: StarGrowth
    full_well: float


def judge_image(
    survey: Survey,
    products: Products,
    calib: PhotoCalib | None,
    *,
    visit: int,
    detector: int,
) -> JudgedImage | None:
    """Judge one image; None where there is no image, or no source of it.

    Parameters
    ----------
    survey
        What is true.
    products
        What was made.
    calib
        Scale of the image by the joint fit; None where it has none.
    visit, detector
        Which image.
    """
    data_id = DataId(visit=visit, detector=detector)
    image = products.exposure("visit_image", data_id)
    sources = products.catalog("source", data_id)
    if image is None or sources is None:
        return None
    truth, figures = survey.of(visit, detector), survey.detector(detector)
    described = get_camera(survey.instrument).detector(detector)
    where = f"visit {visit} detector {detector}"
    empty = empty_pixels(image, truth)
    metrics = _judge_masks(image, truth, described, where)
    if not truth.has_trail:
        signature = products.exposure("post_isr_image", data_id)
        metrics += _judge_sky(signature or image, empty, truth, described, where)
    coefficients = np.asarray(figures["crosstalk"], dtype=np.float64)
    kernel = np.asarray(figures["brighter_fatter_kernel"], dtype=np.float64)
    flat = survey.image(detector, f"FLAT_{survey.visits[visit]['band']}")
    full_well = float(figures["full_well_electron"])
    ny, nx = image.image.shape
    return JudgedImage(
        metrics=metrics,
        stars=match_stars(image, sources, truth, calib),
        has_joint=calib is not None,
        empty_sky=measure_empty_sky(image, empty),
        hits=_count_hits(image, truth),
        real=None if truth.has_trail else judge_detections(image, sources, truth),
        psf=None if image.psf is None else compare_psf(image.psf, truth, (ny, nx)),
        talked=_find_crosstalk(image, empty, truth, described, coefficients),
        growth=measure_growth(image, truth, kernel, flat, full_well=full_well),
        full_well=full_well,
    )


def _judge_masks(
    image: Exposure, truth: VisitTruth, detector: Detector, where: str
) -> list[Metric]:
    """Judge the masks of an image."""
    saturated = np.zeros(image.mask.shape, bool)
    y, x, peak = truth.placed["y"], truth.placed["x"], truth.peak_electron
    star = truth.placed.columns["kind"] == 0
    ny, nx = image.mask.shape
    star &= (y > 0) & (x > 0) & (y < ny - 1) & (x < nx - 1)
    limit = detector.saturation_adu * detector.gain
    full = star & (peak > _SATURATED_SHARE * limit)
    saturated[np.round(y[full]).astype(int), np.round(x[full]).astype(int)] = True
    noise = np.sqrt(truth.sky_electron * truth.effective_pixels)
    bright = star & (peak < _UNSATURATED_SHARE * limit)
    bright &= truth.placed["electrons"] > _VERY_BRIGHT_SNR * noise
    replaced = has(image.mask, MaskPlane.CR | MaskPlane.BAD) & ~has(image.mask, MaskPlane.SAT)
    return [
        mask_recall(image.mask, saturated, truth.is_defect, where),
        replacement_flags(image.mask, replaced, where),
        bright_core_metric(image.mask, truth.cosmic_electron, y=y[bright], x=x[bright],
                           where=where),
    ]  # fmt: skip


def _count_hits(image: Exposure, truth: VisitTruth) -> CosmicRayHits:
    """Count the flags on cosmic rays of an image in nJy."""
    scale = np.float32(image.metadata["nanojansky_per_electron"])
    return count_hits(image.mask, truth.cosmic_electron, image.variance / scale**2)


def _judge_sky(
    image: Exposure,
    empty: npt.NDArray[np.bool_],
    truth: VisitTruth,
    detector: Detector,
    where: str,
) -> list[Metric]:
    """Judge the sky of an image, before the background was taken off where that was kept."""
    scale = float(image.metadata.get("nanojansky_per_electron", 1.0))
    electron = image.image / np.float32(scale)
    variance = image.variance / np.float32(scale**2)
    residual = subtract_smooth_plane(electron, empty)
    boxes = [amplifier.box for amplifier in detector.amplifiers]
    sky = truth.sky_electron
    metrics = [
        sky_noise(residual, variance, empty, boxes, where),
        sky_structure(residual, variance, empty, sky_electron=sky, where=where),
    ]
    if len(boxes) > 1:
        metrics.append(amplifier_steps(residual, empty, boxes, sky_electron=sky, where=where))
    return metrics


def _find_crosstalk(
    image: Exposure,
    empty: npt.NDArray[np.bool_],
    truth: VisitTruth,
    detector: Detector,
    coefficients: FloatArray,
) -> TalkedPixels:
    """Find the empty pixels into which bright ones talk."""
    scale = np.float32(image.metadata["nanojansky_per_electron"])
    electron = image.image / scale
    pattern = crosstalk_pattern(electron, detector, coefficients)
    talked = empty & (pattern > _MIN_CROSSTALK_SIGMA * np.sqrt(truth.sky_electron))
    residual = subtract_surroundings(electron, empty & ~talked)
    # The variance of a pixel goes with its own noise: by it, low pixels would count for more.
    variance = float(np.median(image.variance[empty])) / float(scale) ** 2 if empty.any() else 1.0
    return TalkedPixels(
        residual[talked].astype(np.float64),
        np.full(int(talked.sum()), variance),
        pattern[talked].astype(np.float64),
        np.nonzero(talked)[0],
    )
