"""Flat field from frames of an evenly lit screen or of the twilight sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.algorithms._lamp_flat_kernel import sum_alike
from lsstpipe.algorithms.clipped_mean import clipped_mean
from lsstpipe.errors import AlgorithmError

FloatImage = npt.NDArray[np.float32]
FloatArray = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_SHAPE_CELLS = 8
_LARGEST_DIFFERENCE = 0.2


@dataclass(frozen=True, slots=True)
class FlatLimits:
    """What a frame must be like to be of use.

    Attributes
    ----------
    min_level, max_level
        Median, electrons: beyond, the read-out or the saturation counts.
    max_saturated
        Share of its pixels that may be saturated.
    max_shape_drift
        Largest difference of the light from that of the typical frame, relative, over cells of an
        eighth of the detector; the level itself may drift.
    """

    min_level: float
    max_level: float
    max_saturated: float
    max_shape_drift: float


@dataclass(frozen=True, slots=True)
class LampFlat:
    """Relative response to the light of the frames.

    Attributes
    ----------
    image
        Response, mean 1 over the known pixels, shape ``(ny, nx)``; 1 where it is not known.
    variance
        Variance of ``image``.
    n_used
        Frames that each pixel is the mean of, shape ``(ny, nx)``.
    level
        Level of each frame, electrons, shape ``(n,)``.
    faults
        Why a frame was left out, empty where it was not; one a frame.
    """

    image: FloatImage
    variance: FloatImage
    n_used: npt.NDArray[np.int64]
    level: FloatArray
    faults: tuple[str, ...]


def combine_lamp_flats(
    frames: FloatImage,
    saturated: Sequence[float],
    *,
    read_noise: FloatImage,
    n_sigma: float,
    limits: FlatLimits,
) -> LampFlat:
    """Average frames of even light into a flat.

    Each frame is divided by its own level, so that the lamp may drift; they count by their levels,
    as the noise of the photons has it.

    Parameters
    ----------
    frames
        Electrons without bias and dark, shape ``(n, ny, nx)``; NaN marks pixels not to be used.
        Changed in place, as a copy of all may not fit into memory.
    saturated
        Share of the pixels of each frame that are saturated.
    read_noise
        Electrons, shape ``(ny, nx)``.
    n_sigma
        Clipping distance in standard deviations.
    limits
        What a frame must be like.

    Raises
    ------
    AlgorithmError
        If fewer than three frames are of use: outliers could not be told.
    """
    level = np.array([_median(frame) for frame in frames])
    faults = [_find_fault(v, s, limits) for v, s in zip(level, saturated, strict=True)]
    fit = np.array([not fault for fault in faults])
    for i in np.flatnonzero(fit).tolist():
        frames[i] /= np.float32(level[i])
    drift = _measure_drift(frames, fit)
    for i in np.flatnonzero(drift > limits.max_shape_drift).tolist():
        faults[i] = f"the shape of its light differs by {drift[i]:.2%} from that of the others"
    used = np.array([not fault for fault in faults])
    if used.sum() < 3:
        reasons = "; ".join(sorted({fault for fault in faults if fault})) or "no others given"
        raise AlgorithmError(
            f"A flat needs at least 3 good frames, got {int(used.sum())} of {len(frames)}: "
            f"{reasons}."
        )
    stack = _move_forward(frames, used)
    own = level[used]
    sigma = np.sqrt(1 / own + float(np.median(read_noise)) ** 2 / own**2)[:, None, None]
    weights = own / own.mean()
    first = clipped_mean(stack, sigma, n_sigma=n_sigma, weights=weights).mean
    scale = _fit_scales(stack, first)
    del first
    stack /= scale[:, None, None].astype(np.float32)
    result = clipped_mean(stack, sigma, n_sigma=n_sigma, weights=weights)
    known = result.n_used > 0
    own = own * scale * _fit_scales(stack, result.mean)
    mean, weight = result.mean, result.weight
    mean[~known] = weight[~known] = 1.0
    norm = float(np.mean(mean[known]))
    noise = np.clip(mean, 1e-3, None)
    noise /= own.mean()
    noise += (read_noise.astype(np.float64) / own.mean()) ** 2
    noise /= weight
    noise /= norm**2
    level[used] = own
    return LampFlat(
        np.where(known, mean / norm, 1.0).astype(np.float32),
        noise.astype(np.float32),
        result.n_used,
        level * norm,
        tuple(faults),
    )


def _move_forward(frames: FloatImage, used: Flags) -> FloatImage:
    """Move the frames that are used to the front, in place, and give them."""
    for place, i in enumerate(np.flatnonzero(used).tolist()):
        if place != i:
            frames[place] = frames[i]
    return frames[: int(used.sum())]


def _find_fault(level: float, saturated: float, limits: FlatLimits) -> str:
    """Say why a frame is of no use; empty where its level does not tell so."""
    if saturated > limits.max_saturated:
        return f"{saturated:.0%} of its pixels are saturated"
    if not level >= limits.min_level:
        return f"its level of {level:.0f} electrons is below {limits.min_level:.0f}"
    if level > limits.max_level:
        return f"its level of {level:.0f} electrons is above {limits.max_level:.0f}"
    return ""


def _measure_drift(frames: FloatImage, fit: Flags) -> FloatArray:
    """Measure how far the light of each frame is from that of the typical one, on coarse cells."""
    drift = np.zeros(len(frames))
    if fit.sum() < 3:
        return drift
    cells = np.array([_cell_medians(frames[i]) for i in np.flatnonzero(fit).tolist()])
    cells = cells[:, np.isfinite(cells).any(axis=0)]
    ratio = cells / np.nanmedian(cells, axis=0)
    ratio /= np.nanmedian(ratio, axis=1, keepdims=True)
    drift[fit] = np.nanmax(np.abs(ratio - 1), axis=1)
    return drift


def _cell_medians(frame: FloatImage) -> FloatArray:
    """Take the medians of an image over a coarse grid of cells."""
    ny, nx = frame.shape
    y_edges, x_edges = (np.linspace(0, n, _SHAPE_CELLS + 1).astype(int) for n in (ny, nx))
    return np.array(
        [
            _median(frame[y_edges[i] : y_edges[i + 1], x_edges[j] : x_edges[j + 1]])
            for i in range(_SHAPE_CELLS)
            for j in range(_SHAPE_CELLS)
        ]
    )


def _fit_scales(stack: FloatImage, mean: FloatArray) -> FloatArray:
    """Fit the level of each frame to the mean of all, over the pixels that both have."""
    # A cosmic ray in one frame would pull a plain ratio of sums.
    sums = np.array([sum_alike(frame, mean, _LARGEST_DIFFERENCE) for frame in stack])
    scales: FloatArray = sums[:, 0] / sums[:, 1]
    return scales


def _median(values: FloatImage) -> float:
    """Median of what is not NaN, from a sample of the pixels; NaN where there are none."""
    sample = values[::3, ::3]
    sample = sample[np.isfinite(sample)]
    return float(np.median(sample)) if len(sample) else float("nan")
