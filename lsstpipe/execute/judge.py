"""Judge the products of a simulated campaign against its truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.repeatability import MMAG_PER_RELATIVE
from lsstpipe.algorithms.smooth_plane import subtract_smooth_plane
from lsstpipe.data_model import DataId
from lsstpipe.execute.truth import Products, Survey, read_survey
from lsstpipe.image.detector import Detector
from lsstpipe.image.exposure import Exposure
from lsstpipe.image.mask import MaskPlane, has
from lsstpipe.image.photocalib import PhotoCalib
from lsstpipe.instruments import get_camera
from lsstpipe.measure.acceptance import choose_worst
from lsstpipe.measure.cosmic_ray_truth import (
    CosmicRayHits,
    bright_core_metric,
    cosmic_ray_metrics,
    count_hits,
)
from lsstpipe.measure.crosstalk_truth import (
    crosstalk_matrix_residual,
    crosstalk_pattern,
    crosstalk_residual,
    subtract_surroundings,
)
from lsstpipe.measure.metric import Metric
from lsstpipe.measure.psf_truth import psf_shape_metrics, reserved_star_metric
from lsstpipe.measure.signature_truth import (
    amplifier_steps,
    brighter_fatter_removal,
    calibration_errors,
    linearity_residual,
    mask_recall,
    replacement_flags,
    sky_noise,
    sky_structure,
)
from lsstpipe.measure.source_truth import (
    aperture_correction_metric,
    completeness_metrics,
    empty_sky_metric,
    flux_metrics,
    position_metrics,
    solved_metric,
    spurious_metric,
    zero_point_metric,
)
from lsstpipe.measure.star_growth import StarGrowth, join_growth, measure_growth
from lsstpipe.measure.visit_truth import (
    PsfTable,
    StarTable,
    VisitTruth,
    compare_psf,
    empty_pixels,
    join_psf,
    join_tables,
    judge_detections,
    match_stars,
    measure_empty_sky,
)
from lsstpipe.report.manifests import Records

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]

_BRIGHT_SNR = 100.0
_MIN_CROSSTALK_SIGMA = 0.05
_VERY_BRIGHT_SNR = 300.0
_MIN_ZERO_POINT_STARS = 10
_UNSATURATED_SHARE, _SATURATED_SHARE = 0.8, 1.5


@dataclass(slots=True)
class _Band:
    """What is gathered of all images of a band."""

    stars: list[StarTable] = field(default_factory=list)
    psf: list[PsfTable] = field(default_factory=list)
    real: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    sky: list[tuple[FloatArray, FloatArray]] = field(default_factory=list)
    offset_mas: list[float] = field(default_factory=list)
    zero_point_mmag: list[float] = field(default_factory=list)
    joint_mmag: list[float] = field(default_factory=list)
    linear: list[tuple[FloatArray, FloatArray, FloatArray]] = field(default_factory=list)
    hits: list[CosmicRayHits] = field(default_factory=list)
    full_well: float = np.inf


_Talked = tuple[FloatArray, FloatArray, FloatArray, npt.NDArray[np.int64]]
"""Residual, variance, true crosstalk and row of the pixels of an image."""


@dataclass(slots=True)
class _Chain:
    """What all images together tell of the chain behind the pixels."""

    crosstalk: list[_Talked] = field(default_factory=list)
    growth: list[StarGrowth] = field(default_factory=list)


def judge_truth(repo: Path, records: Records, folder: Path) -> list[Metric]:
    """Judge the products of a campaign against the truth of its survey.

    Parameters
    ----------
    repo
        Folder of the repository.
    records
        What its manifests say.
    folder
        Folder of the survey that `lsstpipe simulate` wrote.

    Raises
    ------
    UserError
        If there is no truth there.
    """
    survey, products = read_survey(folder), Products(repo, records)
    calibs = products.joint_calibs()
    bands: dict[str, _Band] = defaultdict(_Band)
    images: list[Metric] = []
    chain = _Chain()
    for visit, detector, band in survey.expected():
        data_id = DataId(visit=visit, detector=detector)
        image = products.exposure("visit_image", data_id)
        sources = products.catalog("source", data_id)
        if image is None or sources is None:
            if not survey.is_misled(visit, detector):
                bands[band].offset_mas.append(np.nan)
            continue
        truth = survey.of(visit, detector)
        where = f"visit {visit} detector {detector}"
        empty = empty_pixels(image, truth)
        calib = calibs.get((visit, detector))
        stars = match_stars(image, sources, truth, calib)
        _gather(bands[band], stars, calib)
        figures = survey.detector(detector)
        bands[band].full_well = min(bands[band].full_well, figures["full_well_electron"])
        bands[band].sky.append(measure_empty_sky(image, empty))
        bands[band].hits.append(_count_hits(image, truth))
        if not truth.has_trail:
            bands[band].real.append(judge_detections(image, sources, truth))
        if image.psf is not None:
            ny, nx = image.image.shape
            bands[band].psf.append(compare_psf(image.psf, truth, (ny, nx)))
        described = get_camera(survey.instrument).detector(detector)
        images += _judge_image(image, truth, described, where)
        if not truth.has_trail:
            signature = products.exposure("post_isr_image", data_id)
            images += _judge_sky(signature or image, empty, truth, described, where)
        coefficients = np.asarray(figures["crosstalk"], dtype=np.float64)
        chain.crosstalk.append(_find_crosstalk(image, empty, truth, described, coefficients))
        chain.growth.append(
            measure_growth(
                image,
                truth,
                np.asarray(figures["brighter_fatter_kernel"], dtype=np.float64),
                survey.image(detector, f"FLAT_{band}"),
                full_well=figures["full_well_electron"],
            )
        )
    metrics = [metric for band in sorted(bands) for metric in _judge_band(bands[band], band)]
    metrics += _judge_reserved(products)
    metrics += _judge_calibrations(survey, products)
    metrics += [_judge_crosstalk(survey, products), *_judge_chain(chain)]
    return [*_worst_of_each(images), *metrics]


def _gather(band: _Band, stars: StarTable, calib: PhotoCalib | None) -> None:
    """Add the stars of an image to those of its band, and what they say of its calibration."""
    band.stars.append(stars)
    clean = stars.select(stars.is_clean)
    band.offset_mas.append(
        float(np.median(np.hypot(clean.ra_mas, clean.dec_mas))) if len(clean.ra_mas) else np.nan
    )
    bright = clean.true_snr > _BRIGHT_SNR
    if bright.sum() < _MIN_ZERO_POINT_STARS:
        return
    for flux, found in (
        (clean.flux, band.zero_point_mmag),
        (clean.joint_flux, band.joint_mmag if calib is not None else []),
    ):
        ratio = float(np.median(flux[bright] / clean.true_flux[bright]))
        found.append(-MMAG_PER_RELATIVE * np.log(ratio))
        if flux is clean.flux:
            own = clean.select(bright)
            band.linear.append((own.flux / ratio, own.true_flux, own.peak_electron))


def _judge_band(band: _Band, name: str) -> list[Metric]:
    """Judge all images of a band together."""
    metrics = [replace(solved_metric(np.array(band.offset_mas)), id=f"AST-1:{name}")]
    if not band.stars:
        return metrics
    stars = join_tables(band.stars)
    clean = stars.select(stars.is_clean)
    bright = clean.select(clean.true_snr > _BRIGHT_SNR)
    offset = np.stack([clean.ra_mas, clean.dec_mas])
    metrics += position_metrics(offset, clean.true_snr, clean.cell, name)
    metrics += flux_metrics(clean.flux, clean.flux_err, clean.true_flux, name)
    metrics += [
        zero_point_metric(np.array(band.zero_point_mmag), is_joint=False, where=name),
        zero_point_metric(np.array(band.joint_mmag), is_joint=True, where=name),
        aperture_correction_metric(bright.flux, bright.true_flux, bright.cell, name),
        empty_sky_metric(
            np.concatenate([flux for flux, _ in band.sky]),
            np.concatenate([error for _, error in band.sky]),
            name,
        ),
    ]
    metrics += completeness_metrics(stars.true_mag, stars.limit_mag, stars.is_detected, name)
    metrics.append(spurious_metric(np.concatenate([np.zeros(0, bool), *band.real]), name))
    metrics += cosmic_ray_metrics(band.hits, name)
    if band.linear:
        columns = (np.concatenate(part) for part in zip(*band.linear, strict=True))
        found = linearity_residual(*columns, full_well=band.full_well)
        metrics.append(replace(found, id=f"{found.id}:{name}"))
    if band.psf:
        metrics += psf_shape_metrics(join_psf(band.psf).shapes(), name)
    return metrics


def _judge_image(
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
) -> _Talked:
    """Find the empty pixels into which bright ones talk."""
    scale = np.float32(image.metadata["nanojansky_per_electron"])
    electron = image.image / scale
    pattern = crosstalk_pattern(electron, detector, coefficients)
    talked = empty & (pattern > _MIN_CROSSTALK_SIGMA * np.sqrt(truth.sky_electron))
    residual = subtract_surroundings(electron, empty & ~talked)
    # The variance of a pixel goes with its own noise: by it, low pixels would count for more.
    variance = float(np.median(image.variance[empty])) / float(scale) ** 2 if empty.any() else 1.0
    return (
        residual[talked].astype(np.float64), np.full(int(talked.sum()), variance),
        pattern[talked].astype(np.float64), np.nonzero(talked)[0],
    )  # fmt: skip


def _judge_chain(chain: _Chain) -> list[Metric]:
    """Judge what is left of crosstalk and brighter-fatter effect in the images."""
    if not chain.growth:
        return []
    residual, variance, injected, row = (
        np.concatenate(part) for part in zip(*chain.crosstalk, strict=True)
    )
    image = np.repeat(np.arange(len(chain.crosstalk)), [len(part[3]) for part in chain.crosstalk])
    return [
        crosstalk_residual(
            residual, variance, injected, row + image * (int(row.max(initial=0)) + 1)
        ),
        brighter_fatter_removal(*join_growth(chain.growth), true_slope=1.0),
    ]


def _judge_crosstalk(survey: Survey, products: Products) -> Metric:
    """Judge the coefficients that are subtracted; where there are none nothing is."""
    measured, errors, injected = [], [], []
    for detector in sorted({detector for _, detector, _ in survey.expected()}):
        true = np.asarray(survey.detector(detector)["crosstalk"], dtype=np.float64)
        found = products.document("crosstalk", DataId(detector=detector))
        nothing = np.zeros_like(true)
        injected.append(true)
        measured.append(nothing if found is None else np.array(found["coefficients"]))
        errors.append(nothing if found is None else np.array(found["errors"]))
    return crosstalk_matrix_residual(measured, errors, injected)


def _judge_reserved(products: Products) -> list[Metric]:
    """Judge the PSF by the stars that it was not fitted to."""
    chi2 = [s["psf_chi2_reserved"] for s in products.documents("visit_detector_summary")]
    values = np.array([np.nan if value is None else value for value in chi2], dtype=np.float64)
    return [reserved_star_metric(values)] if len(values) else []


def _judge_calibrations(survey: Survey, products: Products) -> list[Metric]:
    """Judge the master frames of all detectors."""
    found: list[Metric] = []
    bands = {detector: band for _, detector, band in survey.expected()}
    every = sorted({(detector, band) for _, detector, band in survey.expected()})
    for detector in sorted(bands):
        own = DataId(detector=detector)
        defects = survey.image(detector, "DEFECTS") > 0
        bias = products.exposure("bias", own)
        if bias is not None:
            found.append(
                calibration_errors("bias", bias.image, _level(survey.image(detector, "BIAS"), bias,
                                   defects), ~defects, f"detector {detector}")
            )  # fmt: skip
        dark = products.exposure("dark", own)
        if dark is not None and dark.info is not None:
            true = survey.image(detector, "DARK") * np.float32(dark.info.dark_time_s)
            found.append(
                calibration_errors("dark", dark.image, true, ~defects, f"detector {detector}")
            )
    for detector, band in every:
        flat = products.flat(detector, band)
        if flat is None:
            continue
        described = get_camera(survey.instrument).detector(detector)
        defects = survey.image(detector, "DEFECTS") > 0
        good = ~defects & ~has(flat.mask, MaskPlane.BAD)
        true = survey.image(detector, f"FLAT_{band}")
        master, truth = (_by_amplifier(part, good, described) for part in (flat.image, true))
        where = f"detector {detector} band {band}"
        found.append(calibration_errors("flat", master, truth, good, where))
    return _worst_of_each(found)


def _level(true: FloatImage, bias: Exposure, defects: npt.NDArray[np.bool_]) -> FloatImage:
    """Give the true bias the mean of the master: the overscan takes the mean off both."""
    good = ~defects
    shift = float(np.mean(bias.image[good]) - np.mean(true[good]))
    return true + np.float32(shift)


def _by_amplifier(image: FloatImage, good: npt.NDArray[np.bool_], detector: Detector) -> FloatImage:
    """Divide each amplifier by its mean: its response and its gain cannot be told apart."""
    result = image.copy()
    for amplifier in detector.amplifiers:
        own = amplifier.box.slices_in(detector.box)
        result[own] /= np.float32(np.mean(image[own][good[own]], dtype=np.float64))
    return result


def _worst_of_each(metrics: Sequence[Metric]) -> list[Metric]:
    """Choose the worst image of each metric."""
    by_id: dict[str, list[Metric]] = {}
    for metric in metrics:
        by_id.setdefault(metric.id.partition(":")[0], []).append(metric)
    return [choose_worst(group) for group in by_id.values()]
