"""Metrics of the calibration: astrometry of each frame, joint astrometry, joint photometry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lsstpipe.algorithms.repeatability import systematic_floor
from lsstpipe.measure.metric import Metric

Json = Mapping[str, Any]

MAX_FRAME_RMS_PIX = 0.25
MAX_REPEATABILITY_PIX = 0.1
MAX_FLOOR_MMAG = 6.0


def astrometry_metrics(frames: Sequence[Json], n_expected: int) -> list[Metric]:
    """Judge the astrometric solution of each frame by itself.

    Parameters
    ----------
    frames
        The summaries of the visit images.
    n_expected
        Number of frames that were taken; at least as many as there are summaries.
    """
    fits = [frame["astrometry"] for frame in frames if frame["astrometry"]["n_matched"] > 0]
    n_all = max(n_expected, len(frames))
    worst = max((max(fit["rms_y_pix"], fit["rms_x_pix"]) for fit in fits), default=math.nan)
    n_star = min((fit["n_matched"] for fit in fits), default=0)
    matched = sum(fit["n_in_frame_matched"] for fit in fits)
    in_frame = sum(fit["n_in_frame"] for fit in fits)
    return [
        Metric(
            "AST-0", "frames with an astrometric solution", float(len(fits)), "frames",
            low=float(n_all), n=n_all, note=f"{len(fits)} of {n_all} solved.",
        ),
        Metric(
            "AST-0b", "rms of reference stars, worst frame and axis", worst, "pixel",
            high=MAX_FRAME_RMS_PIX, n=len(fits), error=worst / math.sqrt(2.0 * max(n_star - 1, 1)),
            note=f"At least {n_star} stars a frame.",
        ),
        Metric(
            "AST-0c", "reference stars in frame that were matched",
            100.0 * matched / in_frame if in_frame else math.nan, "%", low=100.0, n=in_frame,
            error=100.0 * math.sqrt(matched * (in_frame - matched) / in_frame**3)
            if 0 < matched <= in_frame else math.nan,
        ),
    ]  # fmt: skip


def joint_astrometry_metrics(fits: Sequence[Json]) -> list[Metric]:
    """Judge how well bright stars repeat in position after the joint fit.

    Parameters
    ----------
    fits
        What the joint astrometry of each tract found.
    """
    values, n_reserved = [], 0
    for fit in fits:
        axes = fit["repeatability_reserved_pix"]
        found = [axes[name] for name in ("y", "x") if axes[name] is not None]
        values.extend(found)
        n_reserved += axes["n"] if found else 0
    worst = max(values, default=math.nan)
    return [
        Metric(
            "AM1-pix", "repeatability of reserved bright stars after the joint fit, worst axis",
            worst, "pixel", high=MAX_REPEATABILITY_PIX, n=n_reserved, min_n=3,
            error=worst / math.sqrt(2.0 * max(n_reserved, 1)),
        )
    ]  # fmt: skip


def photometry_metrics(
    fits: Sequence[Json], bright_mmag: float, rng: np.random.Generator
) -> list[Metric]:
    """Judge the scatter of bright stars that noise does not explain, after the joint fit.

    Parameters
    ----------
    fits
        What the joint photometry of each tract found.
    bright_mmag
        A star is bright when its errors predict less scatter than this.
    rng
        For the standard error.
    """
    columns: dict[str, list[float]] = {"rms_mmag": [], "expected_mmag": [], "n": []}
    reserved: list[bool] = []
    for fit in fits:
        for name, values in columns.items():
            values.extend(math.nan if v is None else v for v in fit["stars"][name])
        reserved.extend(fit["stars"]["is_reserved"])
    rms, expected, n = (np.asarray(columns[k], float) for k in ("rms_mmag", "expected_mmag", "n"))
    bright = expected < bright_mmag
    floor = systematic_floor(rms[bright], expected[bright], n[bright].astype(np.int64), rng)
    kept_out = bright & np.asarray(reserved, bool)
    held = systematic_floor(rms[kept_out], expected[kept_out], n[kept_out].astype(np.int64), rng)
    note = f"Stars whose errors predict less than {bright_mmag:g} mmag."
    return [
        Metric(
            "PHO-4", "systematic floor of bright stars", floor.value, "mmag",
            high=MAX_FLOOR_MMAG, n=floor.n, min_n=8, error=floor.error, note=note,
        ),
        Metric(
            "PHO-4r", "the same of stars kept out of the joint fit", held.value, "mmag",
            high=MAX_FLOOR_MMAG, n=held.n, min_n=8, error=held.error, note=note,
        ),
    ]  # fmt: skip
