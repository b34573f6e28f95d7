"""Metrics of the coadds: artefacts that were removed, and those that are left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lsstpipe.measure.metric import Metric

Json = Mapping[str, Any]

MIN_REMOVED_PERCENT = 95.0
_GOAL_PERCENT = 99.0
_MIN_PIXELS = 100
_NOTHING = {"n_footprints": 0, "n_pixels": 0, "largest": None, "n_judged": 0, "n_covered": 0}


def artifact_metrics(summaries: Sequence[Json]) -> list[Metric]:
    """Judge the removal of artefacts that one warp alone shows.

    Parameters
    ----------
    summaries
        The summaries of the coadds.
    """
    return [_planted_metric(summaries), _left_metric(summaries)]


def _planted_metric(summaries: Sequence[Json]) -> Metric:
    """Judge planted artefacts by the kind of which the smallest share is removed."""
    kinds: dict[str, list[tuple[int, ...]]] = {}
    for summary in summaries:
        for own in summary["planted"]:
            counts = tuple(own[name] for name in ("n_pixels", "n_removed", "n_lifted", "n_left"))
            kinds.setdefault(own["kind"], []).append(counts)
    totals = {kind: np.sum(counts, axis=0).tolist() for kind, counts in kinds.items()}
    shares = {kind: 100.0 * own[1] / own[0] for kind, own in totals.items() if own[0]}
    worst = min(shares, key=lambda kind: shares[kind], default="")
    each = [100.0 * n[1] / n[0] for n in kinds.get(worst, []) if n[0]]
    listed = "; ".join(
        f"{kind} {share:.2f} % of {totals[kind][0]}" for kind, share in shares.items()
    )
    n_lifted, n_left = (sum(own[i] for own in totals.values()) for i in (2, 3))
    return Metric(
        "COA-4", "planted artefact pixels above 5 sigma removed, worst kind",
        shares.get(worst, math.nan), "%", low=MIN_REMOVED_PERCENT,
        n=totals[worst][0] if worst else 0, min_n=_MIN_PIXELS,
        error=float(np.std(each, ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else math.nan,
        note=f"{listed}. Goal {_GOAL_PERCENT:g} %. Of {n_lifted} pixels that all would lift above "
        f"5 sigma of the coadd {n_left} are left.",
    )  # fmt: skip


def _left_metric(summaries: Sequence[Json]) -> Metric:
    """Count what one warp alone does to the coadds."""
    found = [summary["displaced"] for summary in summaries] or [_NOTHING]
    count = {
        name: sum(own[name] for own in found)
        for name in ("n_footprints", "n_pixels", "n_judged", "n_covered")
    }
    largest = max((own["largest"] for own in found if own["largest"] is not None), default=math.nan)
    share = 100.0 * count["n_judged"] / max(count["n_covered"], 1)
    return Metric(
        "COA-4b", "places where one visit alone displaces the coadd by over 5 sigma",
        float(count["n_footprints"]), "places", high=0.0, n=count["n_judged"],
        note=f"{count['n_pixels']} pixels; the largest displacement is {largest:.1f} sigma. Judged "
        f"{share:.1f} % of the pixels of 5 visits and more; a star explains the others.",
    )  # fmt: skip
