"""Metrics of what is left of a camera's signature, against the truth of a simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms.boxes import average_boxes
from lsstpipe.algorithms.repeatability import MMAG_PER_RELATIVE
from lsstpipe.algorithms.stellar_locus import SIGMA_PER_MAD
from lsstpipe.geometry.box import Box
from lsstpipe.image.mask import MaskArray, MaskPlane, has
from lsstpipe.measure.acceptance import judge
from lsstpipe.measure.metric import Metric
from lsstpipe.measure.sampling import take_excess, take_mean, take_median, take_spread

FloatArray = npt.NDArray[np.float64]
FloatImage = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

BOX_PIX = 64
_STRIP_PIX = 32
_OUTLIER_SIGMA = 6.0
_FULL_WELL_SHARE = 0.9
_N_LEVELS = 8
_MIN_PER_LEVEL = 5


def amplifier_steps(
    residual: FloatImage,
    usable: BoolArray,
    amplifiers: Sequence[Box],
    *,
    sky_electron: float,
    where: str = "",
) -> Metric:
    """Measure the steps of the sky at the seams between amplifiers: ISR-1.

    Parameters
    ----------
    residual
        Image minus what the truth expects there but for a smooth background, electrons, of the
        whole detector, shape ``(ny, nx)``.
    usable
        Pixels of sky that are not masked, same shape.
    amplifiers
        Their boxes on the detector.
    sky_electron
        Level of the sky, electrons.
    where
        The detector and visit.
    """
    steps = []
    for first in amplifiers:
        for second in amplifiers:
            strips = _strips(first, second)
            if strips is None:
                continue
            low, high = (take_mean(residual[s][usable[s]].astype(np.float64)) for s in strips)
            step = 100.0 * (high.value - low.value) / sky_electron
            steps.append((abs(step), 100.0 * math.hypot(high.error, low.error) / sky_electron))
    # The largest of several steps is larger than each: its error is that of a step.
    value, error = max((s for s in steps if math.isfinite(s[0])), default=(math.nan, math.nan))
    return judge("ISR-1", value, n=len(steps), error=error, where=where,
                 note=f"Largest of {len(steps)} seams.")  # fmt: skip


_Slices = tuple[slice, slice]


def _strips(first: Box, second: Box) -> tuple[_Slices, _Slices] | None:
    """Find strips along the common edge of a box and the one right of it or above it."""
    if first.x1 == second.x0:
        rows = slice(max(first.y0, second.y0), min(first.y1, second.y1))
        if rows.start < rows.stop:
            return (
                (rows, slice(max(first.x0, first.x1 - _STRIP_PIX), first.x1)),
                (rows, slice(second.x0, min(second.x1, second.x0 + _STRIP_PIX))),
            )
    if first.y1 == second.y0:
        columns = slice(max(first.x0, second.x0), min(first.x1, second.x1))
        if columns.start < columns.stop:
            return (
                (slice(max(first.y0, first.y1 - _STRIP_PIX), first.y1), columns),
                (slice(second.y0, min(second.y1, second.y0 + _STRIP_PIX)), columns),
            )
    return None


def sky_noise(
    residual: FloatImage,
    variance: FloatImage,
    usable: BoolArray,
    amplifiers: Sequence[Box],
    where: str = "",
) -> Metric:
    """Measure the noise of sky pixels in units of the predicted one: ISR-2.

    Parameters
    ----------
    residual, variance
        Image minus the true sky and sources, and its predicted variance, shape ``(ny, nx)``.
    usable
        Pixels of sky that are not masked, same shape.
    amplifiers
        Their boxes on the detector; the one that is farthest from 1 counts.
    where
        The detector and visit.
    """
    pulls = []
    for box in amplifiers:
        own = (slice(box.y0, box.y1), slice(box.x0, box.x1))
        good = usable[own] & (variance[own] > 0)
        pulls.append((residual[own][good] / np.sqrt(variance[own][good])).astype(np.float64))
    widths = [take_spread(pull) for pull in pulls]
    far = [abs(width.value - 1.0) if width.n else -1.0 for width in widths]
    worst, pull = widths[int(np.argmax(far))], pulls[int(np.argmax(far))]
    core = SIGMA_PER_MAD * take_median(np.abs(pull - take_median(pull).value)).value
    n_far = int((np.abs(pull) > _OUTLIER_SIGMA).sum())
    note = f"Farthest from 1 of {len(widths)} amplifiers; {core:.3f} by the median deviation, " \
           f"{n_far} pixels beyond {_OUTLIER_SIGMA:g} sigma."  # fmt: skip
    return judge("ISR-2", worst.value, n=worst.n, error=worst.error, where=where, note=note)


def sky_structure(
    residual: FloatImage,
    variance: FloatImage,
    usable: BoolArray,
    *,
    sky_electron: float,
    where: str = "",
) -> Metric:
    """Measure the unevenness of the sky in boxes of 64 pixels beyond its noise: ISR-3.

    Parameters
    ----------
    residual, variance
        Image minus the true sky and sources, and its predicted variance, shape ``(ny, nx)``.
    usable
        Pixels of sky that are not masked, same shape.
    sky_electron
        Level of the sky, electrons.
    where
        The detector and visit.
    """
    boxes = average_boxes(residual, variance, usable, size=BOX_PIX)
    percent = 100.0 / sky_electron
    excess = take_excess(percent * boxes.mean, percent**2 * boxes.variance)
    return judge("ISR-3", excess.value, n=excess.n, error=excess.error, where=where)


def mask_recall(
    mask: MaskArray, saturated: BoolArray, defective: BoolArray, where: str = ""
) -> Metric:
    """Measure how many saturated and defective pixels are masked: ISR-4.

    Parameters
    ----------
    mask
        Mask of the image, shape ``(ny, nx)``.
    saturated
        Pixels whose true charge is at or above the saturation level, same shape.
    defective
        True defects and bad columns, same shape.
    where
        The detector and visit.
    """
    caught = has(mask, MaskPlane.SAT)[saturated], has(mask, MaskPlane.BAD)[defective]
    n = sum(len(part) for part in caught)
    found = sum(int(part.sum()) for part in caught)
    note = f"Missed: {int((~caught[0]).sum())} of {len(caught[0])} saturated pixels, " \
           f"{int((~caught[1]).sum())} of {len(caught[1])} defects."  # fmt: skip
    return judge("ISR-4", 100.0 * found / n if n else math.nan, n=n, note=note, where=where)


def replacement_flags(mask: MaskArray, replaced: BoolArray, where: str = "") -> Metric:
    """Measure how many replaced pixels say so: ISR-4b.

    Parameters
    ----------
    mask
        Mask of the image, shape ``(ny, nx)``.
    replaced
        Pixels whose value was made up from their neighbours, same shape.
    where
        The detector and visit.
    """
    flagged = has(mask, MaskPlane.INTRP)[replaced]
    n = len(flagged)
    value = 100.0 * float(flagged.mean()) if n else math.nan
    return judge("ISR-4b", value, n=n, note=f"{int((~flagged).sum())} are not.", where=where)


def linearity_residual(
    flux: FloatArray, true_flux: FloatArray, peak_electron: FloatArray, *, full_well: float
) -> Metric:
    """Measure how the magnitudes of stars drift with their flux: ISR-6.

    Parameters
    ----------
    flux, true_flux
        Measured and true fluxes of stars, one unit, shape ``(n,)``.
    peak_electron
        Electrons in the brightest pixel, shape ``(n,)``.
    full_well
        Electrons at which a pixel is full; stars above 90 % of it are left out.

    Notes
    -----
    Stars are put into levels of equal number by their peak; the level of all is their mean.
    """
    good = np.isfinite(flux) & (flux > 0) & (peak_electron <= _FULL_WELL_SHARE * full_well)
    mmag = -MMAG_PER_RELATIVE * np.log(flux[good] / true_flux[good])
    order = np.argsort(peak_electron[good], kind="stable")
    n_levels = min(_N_LEVELS, len(order) // _MIN_PER_LEVEL)
    if n_levels < 2:
        return judge("ISR-6", math.nan, n=len(order))
    levels = [take_median(part) for part in np.array_split(mmag[order], n_levels)]
    middle = float(np.median([level.value for level in levels]))
    worst = max(levels, key=lambda level: abs(level.value - middle))
    return judge(
        "ISR-6", abs(worst.value - middle), n=len(order), error=worst.error,
        note=f"Farthest from their median of {n_levels} levels of brightness.",
    )  # fmt: skip


def brighter_fatter_removal(
    flux: FloatArray, size: FloatArray, size_error: FloatArray, *, true_slope: float
) -> Metric:
    """Measure how much of the growth of stars with their flux is removed: ISR-7.

    Parameters
    ----------
    flux
        Fluxes of stars, any unit, shape ``(n,)``.
    size, size_error
        Second-moment size of each over that of the PSF without the effect, minus one, and its
        standard error, shape ``(n,)``.
    true_slope
        Relative size per unit of flux that the effect makes where it is not corrected.

    Notes
    -----
    Stars far from the fit, such as those with a neighbour that the truth has not, are left out; the
    error counts the scatter of the others where it is larger than their errors say.
    """
    good = np.isfinite(flux) & np.isfinite(size) & (size_error > 0)
    if good.sum() < 3 or true_slope == 0:
        return judge("ISR-7", math.nan, n=int(good.sum()))
    slope, _, pull = _fit_line(flux[good], size[good], size_error[good])
    middle = np.median(pull)
    spread = SIGMA_PER_MAD * float(np.median(np.abs(pull - middle)))
    good[good] = np.abs(pull - middle) <= _OUTLIER_SIGMA * max(spread, 1.0)
    slope, error, pull = _fit_line(flux[good], size[good], size_error[good])
    chi = float(np.sqrt(np.sum(pull**2) / max(1, len(pull) - 2)))
    removed = 100.0 * (1.0 - abs(slope / true_slope))
    note = f"{100.0 * slope / true_slope:+.1f} % of the growth is left." if len(pull) > 2 else ""
    return judge("ISR-7", removed, n=int(good.sum()), note=note,
                 error=100.0 * error * max(chi, 1.0) / abs(true_slope))  # fmt: skip


def _fit_line(x: FloatArray, y: FloatArray, error: FloatArray) -> tuple[float, float, FloatArray]:
    """Fit a straight line; give its slope, the error of that, and the pulls of the values."""
    weight = error**-2.0
    away = x - np.average(x, weights=weight)
    information = float(np.sum(weight * away * away))
    slope = float(np.sum(weight * away * y)) / information
    pull: FloatArray = (y - np.average(y, weights=weight) - slope * away) / error
    return slope, 1.0 / math.sqrt(information), pull


def calibration_errors(
    kind: str, master: FloatImage, truth: FloatImage, usable: BoolArray, where: str = ""
) -> Metric:
    """Measure the error of a master bias, dark or flat: CAL-0.

    Parameters
    ----------
    kind
        ``bias``, ``dark`` or ``flat``.
    master, truth
        Electrons of bias and dark, relative response of the flat, shape ``(ny, nx)``.
    usable
        Pixels that count, same shape: no defects.
    where
        The detector, and the filter of a flat.

    Notes
    -----
    The mean, over boxes of 64 pixels, of the size of each box's mean error; of the dark in per
    cent of the mean dark current, of the flat in per cent.
    """
    boxes = average_boxes(master - truth, np.zeros(master.shape), usable, size=BOX_PIX)
    unit = {
        "bias": 1.0,
        "dark": 100.0 / float(np.mean(truth[usable])) if usable.any() else math.nan,
        "flat": 100.0,
    }[kind]
    mean = take_mean(np.abs(boxes.mean) * unit)
    id = {"bias": "CAL-0a", "dark": "CAL-0b", "flat": "CAL-0c"}[kind]
    return judge(id, mean.value, n=int(usable.sum()), error=mean.error, where=where,
                 note=f"Over {mean.n} boxes.")  # fmt: skip
