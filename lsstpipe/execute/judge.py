"""Judge the products of a simulated campaign against its truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.repeatability import MMAG_PER_RELATIVE
from lsstpipe.data_model import DataId
from lsstpipe.execute.judge_calibrations import judge_calibrations
from lsstpipe.execute.judge_image import JudgedImage, judge_image
from lsstpipe.execute.truth import Products, Survey, read_survey
from lsstpipe.measure.acceptance import choose_worst
from lsstpipe.measure.cosmic_ray_truth import CosmicRayHits, cosmic_ray_metrics
from lsstpipe.measure.crosstalk_truth import crosstalk_matrix_residual, crosstalk_residual
from lsstpipe.measure.metric import Metric
from lsstpipe.measure.psf_truth import psf_shape_metrics, reserved_star_metric
from lsstpipe.measure.signature_truth import brighter_fatter_removal, linearity_residual
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
from lsstpipe.measure.star_growth import join_growth
from lsstpipe.measure.visit_truth import PsfTable, StarTable, join_psf, join_tables
from lsstpipe.report.manifests import Records

FloatArray = npt.NDArray[np.float64]
T = TypeVar("T")

_BRIGHT_SNR = 100.0
_MIN_ZERO_POINT_STARS = 10
_MOST_LEFT_OUT = 0.25


@dataclass(slots=True)
class _Band:
    """What is gathered of all images of a band."""

    stars: list[StarTable] = field(default_factory=list)
    psf: list[PsfTable] = field(default_factory=list)
    psf_left_out: list[PsfTable] = field(default_factory=list)
    real: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    sky: list[tuple[FloatArray, FloatArray]] = field(default_factory=list)
    offset_mas: list[float] = field(default_factory=list)
    zero_point_mmag: list[float] = field(default_factory=list)
    joint_mmag: list[float] = field(default_factory=list)
    linear: list[tuple[FloatArray, FloatArray, FloatArray]] = field(default_factory=list)
    hits: list[CosmicRayHits] = field(default_factory=list)
    full_well: float = np.inf


def judge_truth(repo: Path, records: Records, folder: Path, *, n_jobs: int = 1) -> list[Metric]:
    """Judge the products of a campaign against the truth of its survey.

    Parameters
    ----------
    repo
        Folder of the repository.
    records
        What its manifests say.
    folder
        Folder of the survey that `lsstpipe simulate` wrote.
    n_jobs
        Processes that look at images and master frames; 1 is this one. The result is the same.

    Raises
    ------
    UserError
        If there is no truth there.
    """
    survey, products = read_survey(folder), Products(repo, records)
    expected = list(survey.expected())
    images, masters = _judge_parts(survey, products, n_jobs)
    bands: dict[str, _Band] = {band: _Band() for band in sorted({band for _, _, band in expected})}
    for (visit, detector, band), image in zip(expected, images, strict=True):
        if image is not None:
            _gather(bands[band], image)
        elif not survey.is_misled(visit, detector):
            bands[band].offset_mas.append(np.nan)
    judged = [image for image in images if image is not None]
    metrics = [metric for name, band in bands.items() for metric in _judge_band(band, name)]
    metrics += _judge_reserved(products)
    metrics += _worst_of_each(masters)
    metrics += [_judge_crosstalk(survey, products), *_judge_chain(judged)]
    return [*_worst_of_each([metric for image in judged for metric in image.metrics]), *metrics]


def _judge_parts(
    survey: Survey, products: Products, n_jobs: int
) -> tuple[list[JudgedImage | None], list[Metric]]:
    """Judge each image, in the order of the survey, and the master frames of each detector."""
    calibs, bands = products.joint_calibs(), defaultdict[int, set[str]](set)
    for _, detector, band in survey.expected():
        bands[detector].add(band)
    with _open_pool(n_jobs) as pool:
        images = [
            _start(pool, partial(judge_image, survey, products, calibs.get((visit, detector)),
                                 visit=visit, detector=detector))
            for visit, detector, _ in survey.expected()
        ]  # fmt: skip
        masters = [
            _start(pool, partial(judge_calibrations, survey, products, detector, sorted(own)))
            for detector, own in sorted(bands.items())
        ]
        return [image() for image in images], [m for master in masters for m in master()]


def _open_pool(n_jobs: int) -> AbstractContextManager[Executor | None]:
    """Open a pool of processes; none where this process does all."""
    # A forked child would inherit the threads and locks of compiled libraries.
    return ProcessPoolExecutor(n_jobs, get_context("spawn")) if n_jobs > 1 else nullcontext()


def _start(pool: Executor | None, work: Callable[[], T]) -> Callable[[], T]:
    """Start work in a pool; without one it is done when its result is asked for."""
    return work if pool is None else pool.submit(work).result


def _gather(band: _Band, image: JudgedImage) -> None:
    """Add what an image says to what those of its band say."""
    stars = image.stars
    band.stars.append(stars)
    band.full_well = min(band.full_well, image.full_well)
    band.sky.append(image.empty_sky)
    band.hits.append(image.hits)
    if image.real is not None:
        band.real.append(image.real)
    if image.psf is not None:
        (band.psf if image.has_joint else band.psf_left_out).append(image.psf)
    clean = stars.select(stars.is_clean)
    band.offset_mas.append(
        float(np.median(np.hypot(clean.ra_mas, clean.dec_mas))) if len(clean.ra_mas) else np.nan
    )
    bright = clean.true_snr > _BRIGHT_SNR
    if bright.sum() < _MIN_ZERO_POINT_STARS:
        return
    for flux, found in (
        (clean.flux, band.zero_point_mmag),
        (clean.joint_flux, band.joint_mmag if image.has_joint else []),
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
    return metrics + judge_psf(band.psf, band.psf_left_out, name)


def judge_psf(joint: Sequence[PsfTable], others: Sequence[PsfTable], where: str) -> list[Metric]:
    """Judge the PSFs of a band by the images that the joint fit calibrates, if these are most.

    An image that the campaign does not go on with, such as one of very bad seeing, harms nothing.
    More than a quarter of such images is a fault itself, which the rest must not hide.

    Parameters
    ----------
    joint, others
        PSFs of the images with a joint calibration, and of those without.
    where
        Name of the band.
    """
    used, left_out = list(joint), list(others)
    if len(left_out) > _MOST_LEFT_OUT * (len(used) + len(left_out)):
        used, left_out = used + left_out, []
    if not used:
        return []
    metrics = psf_shape_metrics(join_psf(used).shapes(), where)
    if not left_out:
        return metrics
    said = f"Without {len(left_out)} images that have no joint calibration."
    return [replace(metric, note=f"{metric.note} {said}".strip()) for metric in metrics]


def _judge_chain(images: Sequence[JudgedImage]) -> list[Metric]:
    """Judge what is left of crosstalk and brighter-fatter effect in the images."""
    if not images:
        return []
    talked = [image.talked for image in images]
    residual, variance, injected, row = (
        np.concatenate([getattr(part, name) for part in talked])
        for name in ("residual", "variance", "injected", "row")
    )
    number = np.repeat(np.arange(len(talked)), [len(part.row) for part in talked])
    return [
        crosstalk_residual(
            residual, variance, injected, row + number * (int(row.max(initial=0)) + 1)
        ),
        brighter_fatter_removal(*join_growth([image.growth for image in images]), true_slope=1.0),
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


def _worst_of_each(metrics: Sequence[Metric]) -> list[Metric]:
    """Choose the worst image of each metric."""
    by_id: dict[str, list[Metric]] = {}
    for metric in metrics:
        by_id.setdefault(metric.id.partition(":")[0], []).append(metric)
    return [choose_worst(group) for group in by_id.values()]
