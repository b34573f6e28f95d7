"""Metrics of the point spread function against the truth of a simulation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.repeatability import Estimate
from lsstpipe.measure.acceptance import judge
from lsstpipe.measure.metric import Metric
from lsstpipe.measure.sampling import jackknife, take_mean, take_median, take_rms, take_spread

FloatArray = npt.NDArray[np.float64]

_PER_MILLE = 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class PsfShapes:
    """Sizes and shapes of PSF models and the true ones at many places.

    Attributes
    ----------
    size, true_size
        Sum of the second moments along both axes of the model and of the truth, one unit, shape
        ``(n,)``.
    e, true_e
        Ellipticities of both, shape ``(2, n)``.
    image
        Number of the image that each place lies on, shape ``(n,)``; None if the errors of all
        places are independent.
    """

    size: FloatArray
    true_size: FloatArray
    e: FloatArray
    true_e: FloatArray
    image: npt.NDArray[np.int64] | None = None


def psf_shape_metrics(shapes: PsfShapes, where: str = "") -> list[Metric]:
    """Judge size and shape of the PSF on a grid of places: PSF-1, PSF-1b, PSF-2, PSF-2b.

    The errors at the places of one image are those of one model: standard errors are found by
    leaving out whole images. An image with few stars that is off by itself makes them large, and a
    sample of few images has no verdict then.

    Parameters
    ----------
    shapes
        The model and the truth.
    where
        The detector and visit, or the band.
    """
    growth = _PER_MILLE * (shapes.size / shapes.true_size - 1.0)
    off = _PER_MILLE * (shapes.e - shapes.true_e)
    mean, spread = (_by_image(growth, shapes.image, take) for take in (take_mean, take_spread))
    means, spreads = (
        [_by_image(axis, shapes.image, take) for axis in off] for take in (take_mean, take_spread)
    )
    worst = max(means, key=lambda axis: abs(axis.value) if axis.n else -1.0)
    rough = max(spreads, key=lambda axis: axis.value if axis.n else -1.0)
    return [
        judge("PSF-1", abs(mean.value), n=mean.n, error=mean.error, where=where,
              note=f"Signed: {mean.value:+.2f}."),
        judge("PSF-1b", spread.value, n=spread.n, error=spread.error, where=where),
        judge("PSF-2", abs(worst.value), n=worst.n, error=worst.error, where=where,
              note="The worse of the two components."),
        judge("PSF-2b", rough.value, n=rough.n, error=rough.error, where=where,
              note="The worse of the two components."),
    ]  # fmt: skip


def _by_image(
    values: FloatArray,
    image: npt.NDArray[np.int64] | None,
    take: Callable[[FloatArray], Estimate],
) -> Estimate:
    """Take a figure, with the standard error of a sample of images where there are several."""
    found = take(values)
    if image is None or len(np.unique(image)) < 3:
        return found
    error = jackknife(lambda rows: take(values[rows]).value, image)
    return Estimate(found.value, error, found.n)


def reserved_star_metric(chi2_per_pixel: FloatArray, where: str = "") -> Metric:
    """Judge how the PSF describes stars that it was not fitted to: PSF-3.

    Parameters
    ----------
    chi2_per_pixel
        Chi-square per degree of freedom of each reserved star, shape ``(n,)``.
    where
        The band.
    """
    median = take_median(chi2_per_pixel)
    return judge("PSF-3", median.value, n=median.n, error=median.error, where=where)


def psf_peer_metric(
    size: FloatArray, peer_size: FloatArray, true_size: FloatArray, where: str = ""
) -> Metric:
    """Compare the error of the PSF's size with that of a peer on the same stars: PSF-4.

    Parameters
    ----------
    size, peer_size, true_size
        Sums of the second moments at the same places, one unit, shape ``(n,)``.
    where
        The band.
    """
    own, peer = size / true_size - 1.0, peer_size / true_size - 1.0
    ratios = [
        abs(take_mean(own).value) / abs(take_mean(peer).value),
        take_spread(own).value / take_spread(peer).value,
    ]
    worse = max(ratios)
    both = take_rms(own).error / take_rms(own).value, take_rms(peer).error / take_rms(peer).value
    return judge("PSF-4", worse, n=len(own), error=worse * math.hypot(*both), where=where,
                 note=f"Mean {ratios[0]:.2f}, rms {ratios[1]:.2f} times the peer's.")  # fmt: skip
