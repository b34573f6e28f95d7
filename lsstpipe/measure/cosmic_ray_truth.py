"""Metrics of cosmic rays and of empty sky, against the truth of a simulation."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from lsstpipe.image.mask import MaskArray, MaskPlane, has
from lsstpipe.measure.acceptance import judge
from lsstpipe.measure.metric import Metric
from lsstpipe.measure.sampling import take_share

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

_LEVELS = (("CR-1", 10.0), ("CR-1b", 5.0))
_CORE_PIX = 1.5


def cosmic_ray_metrics(
    mask: MaskArray, cosmic_electron: FloatImage, variance: FloatImage, where: str = ""
) -> list[Metric]:
    """Judge the mask of cosmic rays: CR-1, CR-1b, CR-2.

    Parameters
    ----------
    mask
        Mask of the image, shape ``(ny, nx)``.
    cosmic_electron
        True charge of cosmic rays in each pixel, electrons, same shape.
    variance
        Variance of each pixel without them, electrons squared, same shape.
    where
        The detector and visit.

    Notes
    -----
    A pixel that is masked for another reason is not asked for. A flag beside a true cosmic ray is
    not false: hits are grown on purpose.
    """
    flagged = has(mask, MaskPlane.CR)
    lost = has(mask, MaskPlane.SAT | MaskPlane.BAD | MaskPlane.NO_DATA | MaskPlane.EDGE)
    significance = cosmic_electron / np.sqrt(variance)
    metrics = []
    for id, level in _LEVELS:
        caught = take_share(flagged[(significance > level) & ~lost])
        metrics.append(judge(id, caught.value, n=caught.n, error=caught.error, where=where))
    beside = ndimage.binary_dilation(cosmic_electron > 0, np.ones((3, 3), bool), iterations=1)
    false = flagged & ~beside & ~lost
    n = int((~lost).sum())
    rate = 1e5 * false.sum() / n if n else math.nan
    metrics.append(
        judge("CR-2", float(rate), n=n, error=1e5 * math.sqrt(false.sum()) / max(n, 1),
              note=f"{int(false.sum())} pixels.", where=where)
    )  # fmt: skip
    return metrics


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
    flagged = has(mask, MaskPlane.CR) & ~ndimage.binary_dilation(
        cosmic_electron > 0, np.ones((3, 3), bool)
    )
    ny, nx = mask.shape
    inside = (y > 2) & (y < ny - 3) & (x > 2) & (x < nx - 3)
    n_bad = 0
    for row, column in zip(y[inside], x[inside], strict=True):
        top, left = round(row) - 2, round(column) - 2
        dy, dx = np.mgrid[top : top + 5, left : left + 5]
        core = np.hypot(dy - row, dx - column) <= _CORE_PIX
        n_bad += bool((flagged[top : top + 5, left : left + 5] & core).any())
    return judge("CR-2b", float(n_bad), n=int(inside.sum()), where=where)
