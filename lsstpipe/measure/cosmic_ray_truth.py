"""Metrics of cosmic rays and of empty sky, against the truth of a simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.image.mask import MaskArray, MaskPlane, has
from lsstpipe.measure.acceptance import judge
from lsstpipe.measure.metric import Metric
from lsstpipe.measure.sampling import take_share

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_STRONG_SIGMA, _WEAK_SIGMA = 10.0, 5.0
_CORE_PIX = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class CosmicRayHits:
    """How the true hits of one image, or of several, are flagged.

    Attributes
    ----------
    strong, weak
        Whether each pixel above 10 and above 5 sigma is flagged, shape ``(n,)``.
    n_false, n_good
        Pixels that are flagged without a hit, and all pixels.
    """

    strong: BoolArray
    weak: BoolArray
    n_false: int
    n_good: int


def count_hits(mask: MaskArray, cosmic_electron: FloatImage, variance: FloatImage) -> CosmicRayHits:
    """Count the flags on true cosmic rays, and those on none.

    Parameters
    ----------
    mask
        Mask of the image, shape ``(ny, nx)``.
    cosmic_electron
        True charge of cosmic rays in each pixel, electrons, same shape.
    variance
        Variance of each pixel without them, electrons squared, same shape.

    Notes
    -----
    A pixel that is masked for another reason is not asked for. A flag beside a true cosmic ray is
    not false: hits are grown on purpose.
    """
    flagged = has(mask, MaskPlane.CR)
    lost = has(mask, MaskPlane.SAT | MaskPlane.BAD | MaskPlane.NO_DATA | MaskPlane.EDGE)
    hit = (cosmic_electron > 0) & ~lost
    significance = cosmic_electron[hit] / np.sqrt(variance[hit])
    caught = flagged[hit]
    beside = _grow(cosmic_electron > 0)
    return CosmicRayHits(
        caught[significance > _STRONG_SIGMA],
        caught[significance > _WEAK_SIGMA],
        int((flagged & ~beside & ~lost).sum()),
        int((~lost).sum()),
    )


def _grow(hit: BoolArray) -> BoolArray:
    """Add the eight neighbours of each pixel; there are few, so that they are set one by one."""
    grown = np.zeros((hit.shape[0] + 2, hit.shape[1] + 2), bool)
    y, x = np.nonzero(hit)
    for dy in range(3):
        for dx in range(3):
            grown[y + dy, x + dx] = True
    return grown[1:-1, 1:-1]


def cosmic_ray_metrics(hits: Sequence[CosmicRayHits], where: str = "") -> list[Metric]:
    """Judge the masks of cosmic rays of several images together: CR-1, CR-1b, CR-2.

    Parameters
    ----------
    hits
        What was counted on each image.
    where
        The band.
    """
    metrics = []
    for id, parts in (("CR-1", [h.strong for h in hits]), ("CR-1b", [h.weak for h in hits])):
        caught = take_share(np.concatenate(parts) if parts else np.zeros(0, bool))
        metrics.append(judge(id, caught.value, n=caught.n, error=caught.error, where=where))
    n_false, n_good = (sum(getattr(h, name) for h in hits) for name in ("n_false", "n_good"))
    rate = 1e5 * n_false / n_good if n_good else math.nan
    error = 1e5 * math.sqrt(n_false) / max(n_good, 1)
    note = f"{n_false} pixels on {len(hits)} images."
    return [*metrics, judge("CR-2", rate, n=n_good, error=error, note=note, where=where)]


def bright_core_metric(
    mask: MaskArray,
    cosmic_electron: FloatImage,
    *,
    y: FloatArray,
    x: FloatArray,
    where: str = "",
) -> Metric:
    """Count the bright stars whose core is taken for a cosmic ray: CR-2b.

    Parameters
    ----------
    mask
        Mask of the image, shape ``(ny, nx)``.
    cosmic_electron
        True charge of cosmic rays in each pixel, electrons, same shape.
    y, x
        True positions of bright, unsaturated stars on the image, pixels, shape ``(n,)``.
    where
        The detector and visit.
    """
    flagged = has(mask, MaskPlane.CR) & ~_grow(cosmic_electron > 0)
    ny, nx = mask.shape
    inside = (y > 2) & (y < ny - 3) & (x > 2) & (x < nx - 3)
    n_bad = 0
    for row, column in zip(y[inside], x[inside], strict=True):
        top, left = round(row) - 2, round(column) - 2
        dy, dx = np.mgrid[top : top + 5, left : left + 5]
        core = np.hypot(dy - row, dx - column) <= _CORE_PIX
        n_bad += bool((flagged[top : top + 5, left : left + 5] & core).any())
    return judge("CR-2b", float(n_bad), n=int(inside.sum()), where=where)
