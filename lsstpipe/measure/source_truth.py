"""Metrics of detected and measured sources, against the truth of a simulation."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from lsstpipe.algorithms.repeatability import MMAG_PER_RELATIVE, Estimate
from lsstpipe.measure.acceptance import ACCEPTANCE, judge
from lsstpipe.measure.metric import Metric
from lsstpipe.measure.sampling import (
    take_excess,
    take_mean,
    take_median,
    take_rms,
    take_share,
    take_spread,
)

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_FLUX_RANGES = (("PHO-2a", 100.0, math.inf), ("PHO-2b", 30.0, 100.0), ("PHO-2c", 8.0, 12.0))
_ASTROMETRY_MIN_SNR = 100.0
_PULL_SNR = (10.0, 100.0)
_N_CELLS = 8
_MIN_PER_CELL = 3
_COMPLETE_MIN_SNR = 10.0
_TURN_WIDTH_MAG = 0.2


def empty_sky_metric(flux: FloatArray, flux_err: FloatArray, where: str = "") -> Metric:
    """Measure the flux where there is no source, in units of its error: BG-1.

    Parameters
    ----------
    flux, flux_err
        Fluxes in apertures of 12 pixels at places without a true source, and their standard
        errors, one unit, shape ``(n,)``.
    where
        The detector and visit.
    """
    median = take_median(flux / flux_err)
    return judge("BG-1", abs(median.value), n=median.n, error=median.error, where=where,
                 note=f"Signed: {median.value:+.3f}.")  # fmt: skip


def solved_metric(offset_mas: FloatArray, max_offset_mas: float = 500.0) -> Metric:
    """Count the detectors that were solved from their wrong pointing: AST-1.

    Parameters
    ----------
    offset_mas
        Median distance of a detector's sources from their true positions, one a detector that was
        to be solved, NaN where there is no solution, mas, shape ``(n,)``.
    max_offset_mas
        A solution that is off by more than this is none.
    """
    solved = np.isfinite(offset_mas) & (offset_mas <= max_offset_mas)
    n = len(solved)
    value = 100.0 * float(solved.mean()) if n else math.nan
    return judge("AST-1", value, n=n, note=f"{int(solved.sum())} of {n} detectors.")


def position_metrics(
    offset_mas: FloatArray, snr: FloatArray, cell: IntArray, where: str = ""
) -> list[Metric]:
    """Judge positions against truth: AST-2, AST-3, AST-3b.

    Parameters
    ----------
    offset_mas
        Measured minus true position along ra times cos(dec) and dec, mas, shape ``(2, n)``.
    snr
        Signal-to-noise ratio, shape ``(n,)``; sources above 100 count.
    cell
        Number of the part of a detector that each lies in, as of `field_cells`, shape ``(n,)``.
    where
        The band.
    """
    good = np.isfinite(offset_mas).all(axis=0) & (snr > _ASTROMETRY_MIN_SNR)
    offset, own_cell = offset_mas[:, good], cell[good]
    axes = [take_rms(axis) for axis in offset]
    worst = max(axes, key=lambda axis: axis.value if axis.n else -1.0)
    means = [take_mean(axis) for axis in offset]
    shift = math.hypot(means[0].value, means[1].value)
    structure = [_cell_excess(axis, own_cell) for axis in offset]
    rough = max(structure, key=lambda axis: axis.value if axis.n else -1.0)
    return [
        judge("AST-2", worst.value, n=worst.n, error=worst.error, where=where,
              note="The worse of the two axes."),
        judge("AST-3", shift, n=means[0].n, where=where,
              error=math.hypot(means[0].error, means[1].error) / math.sqrt(2.0)),
        judge("AST-3b", rough.value, n=rough.n, error=rough.error, where=where,
              note=f"The worse of the two axes; {rough.n} cells."),
    ]  # fmt: skip


def field_cells(*, y: FloatArray, x: FloatArray, shape: tuple[int, int]) -> IntArray:
    """Find the number of the cell, of 8 by 8 on a detector, that each position lies in.

    Parameters
    ----------
    y, x
        Pixel positions, shape ``(n,)``.
    shape
        Pixels of the detector ``(ny, nx)``.
    """
    row, column = (
        np.clip((position / length * _N_CELLS).astype(np.int64), 0, _N_CELLS - 1)
        for position, length in zip((y, x), shape, strict=True)
    )
    return row * _N_CELLS + column


def _cell_excess(values: FloatArray, cell: IntArray) -> Estimate:
    """Measure how the means of the cells scatter beyond the noise of each."""
    count = np.bincount(cell)
    mean = np.bincount(cell, weights=values) / np.maximum(count, 1)
    square = np.bincount(cell, weights=(values - mean[cell]) ** 2) if len(cell) else np.zeros(0)
    full = count >= _MIN_PER_CELL
    # The scatter within cells, of all together: a cell of a few sources knows its own badly.
    freedom = int(np.sum(count[full] - 1))
    within = float(np.sum(square[full])) / freedom if freedom else math.nan
    return take_excess(mean[full], within / count[full])


def zero_point_metric(error_mmag: FloatArray, *, is_joint: bool, where: str = "") -> Metric:
    """Judge zero points against truth: PHO-1 of each detector by itself, PHO-1b after the fit.

    Parameters
    ----------
    error_mmag
        Zero points minus the true ones, mmag, one a detector and visit, shape ``(n,)``.
    is_joint
        Whether they are those of the joint fit.
    where
        The band.
    """
    rms = take_rms(error_mmag)
    id = "PHO-1b" if is_joint else "PHO-1"
    largest = float(np.nanmax(np.abs(error_mmag))) if rms.n else math.nan
    # Of a few zero points the error of a large rms is as large: what counts is the error that an
    # rms at the bound would have.
    error = min(rms.value, ACCEPTANCE[id].gate[1] or math.inf) / math.sqrt(2.0 * max(rms.n, 1))
    return judge(id, rms.value, n=rms.n, error=error, where=where,
                 note=f"Largest {largest:.1f} mmag.")  # fmt: skip


def flux_metrics(
    flux: FloatArray, flux_err: FloatArray, true_flux: FloatArray, where: str = ""
) -> list[Metric]:
    """Judge PSF fluxes of isolated stars against truth: PHO-2a, b, c and PHO-3.

    Parameters
    ----------
    flux, flux_err, true_flux
        Measured fluxes of isolated, constant stars, their errors, and the true fluxes, one unit,
        shape ``(n,)``. All true stars that were to be detected belong here: a limit on the
        measured signal-to-noise ratio would prefer those that noise made brighter.
    where
        The band.
    """
    true_snr = true_flux / flux_err
    good = np.isfinite(flux) & (flux_err > 0)
    metrics = []
    for id, low, high in _FLUX_RANGES:
        inside = good & (true_snr >= low) & (true_snr < high)
        bias = take_median(-MMAG_PER_RELATIVE * (flux[inside] / true_flux[inside] - 1.0))
        metrics.append(judge(id, abs(bias.value), n=bias.n, error=bias.error, where=where,
                             note=f"Signed: {bias.value:+.2f} mmag."))  # fmt: skip
    noisy = good & (true_snr >= _PULL_SNR[0]) & (true_snr < _PULL_SNR[1])
    width = take_spread((flux[noisy] - true_flux[noisy]) / flux_err[noisy])
    metrics.append(judge("PHO-3", width.value, n=width.n, error=width.error, where=where,
                         note="True S/N 10 to 100."))  # fmt: skip
    return metrics


def aperture_correction_metric(
    flux: FloatArray, true_flux: FloatArray, cell: IntArray, where: str = ""
) -> Metric:
    """Measure how the fluxes of bright stars vary over the field beyond noise: APC-1.

    Parameters
    ----------
    flux, true_flux
        Measured PSF fluxes of bright isolated stars and the true ones, shape ``(n,)``.
    cell
        Number of the part of a detector that each lies in, as of `field_cells`, shape ``(n,)``.
    where
        The band.
    """
    good = np.isfinite(flux) & (flux > 0)
    mmag = -MMAG_PER_RELATIVE * np.log(flux[good] / true_flux[good])
    excess = _cell_excess(mmag, cell[good])
    return judge("APC-1", excess.value, n=excess.n, error=excess.error, where=where,
                 note=f"{excess.n} cells.")  # fmt: skip


def completeness_metrics(
    mag: FloatArray, limit_mag: FloatArray, detected: BoolArray, where: str = ""
) -> list[Metric]:
    """Judge the completeness of isolated sources: DET-1, DET-1b.

    Parameters
    ----------
    mag
        True magnitudes of isolated point sources, shape ``(n,)``.
    limit_mag
        Magnitude at which a point source at that place has five times its error, analytically,
        shape ``(n,)``.
    detected
        Whether each was detected, shape ``(n,)``.
    where
        The band.

    Notes
    -----
    A source whose expected signal is the threshold is found in half of the cases. The magnitude of
    50 % is that of the error function of signal to noise that fits best.
    """
    depth = mag - limit_mag
    near = np.abs(depth) < 1.0
    middle, error = _find_half(depth[near], detected[near])
    snr = 5.0 * 10.0 ** (-0.4 * depth)
    bright = take_share(detected[snr > _COMPLETE_MIN_SNR])
    return [
        judge("DET-1", middle, n=int(near.sum()), error=error, where=where,
              note="Positive is deeper."),
        judge("DET-1b", bright.value, n=bright.n, error=bright.error, where=where),
    ]  # fmt: skip


def _find_half(depth: FloatArray, detected: BoolArray) -> tuple[float, float]:
    """Find the depth at which half is detected, by the most likely shift of a known turn."""
    if len(depth) < 2 or detected.all() or not detected.any():
        return math.nan, math.nan
    shifts = np.arange(-0.9, 0.9001, 0.005)
    # At the threshold t the chance is that of a normal value above t - S/N.
    expected = 5.0 * 10.0 ** (-0.4 * (depth[None, :] - shifts[:, None])) - 5.0
    log_hit, log_miss = stats.norm.logcdf(expected), stats.norm.logsf(expected)
    likelihood = np.where(detected, log_hit, log_miss)
    # A few blends and defects must not decide.
    total = np.sum(np.maximum(likelihood, math.log(0.01)), axis=1)
    best = int(np.argmax(total))
    inside = shifts[total > total[best] - 0.5]
    return float(shifts[best]), float(max(0.5 * np.ptp(inside), 0.005))


def spurious_metric(is_real: BoolArray, where: str = "") -> Metric:
    """Measure the share of detections that are not real: DET-2.

    Parameters
    ----------
    is_real
        Whether a true source, of any brightness that can be seen, lies at each detection at 5
        sigma, shape ``(n,)``.
    where
        The band.
    """
    share = take_share(~is_real)
    return judge("DET-2", share.value, n=share.n, error=share.error, where=where,
                 note=f"{int((~is_real).sum())} of {share.n}.")  # fmt: skip
