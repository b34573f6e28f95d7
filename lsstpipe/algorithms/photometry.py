"""Zero points against a reference catalogue, and how well magnitudes repeat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.errors import AlgorithmError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

AB_ZERO_POINT_NJY = 31.4
"""AB magnitude of 1 nJy."""

_MAG_PER_RELATIVE_FLUX = 2.5 / np.log(10.0)
_MAD_TO_SIGMA = 1.4826
_MEDIAN_TO_MEAN_ERROR = np.sqrt(np.pi / 2.0)
_MIN_CELL_STARS = 5
_LEAST_ERROR_MAG = 0.001
_VARIATION_SIGMA = 5.0
_VARIATION_MAG = 0.02


@dataclass(frozen=True)
class ZeroPointConfig:
    """How instrumental fluxes are compared with a catalogue."""

    min_signal_to_noise: float = 10.0
    """Fainter stars are left out."""
    clip_sigma: float = 3.0
    """Stars that miss by more robust standard deviations are left out."""
    max_iterations: int = 20
    """How often outliers are looked for."""
    min_stars: int = 3
    """Fewer stars make no zero point."""


@dataclass(frozen=True)
class ZeroPoint:
    """What turns an instrumental magnitude into one of a catalogue."""

    zero_point_mag: float
    """Magnitude of unit flux."""
    err_mag: float
    """Standard error of the zero point, mag."""
    scatter_mag: float
    """Robust standard deviation of one star, mag."""
    used: BoolArray
    """Which stars were used."""

    @property
    def n_used(self) -> int:
        """Count of stars used."""
        return int(np.sum(self.used))

    @property
    def njy_per_unit(self) -> float:
        """Flux of unit instrumental flux, nJy, if the catalogue's magnitudes are AB."""
        return float(10.0 ** (-0.4 * (self.zero_point_mag - AB_ZERO_POINT_NJY)))


def fit_zero_point(
    flux: FloatArray, flux_err: FloatArray, reference_mag: FloatArray, *, config: ZeroPointConfig
) -> ZeroPoint:
    """Find the zero point of instrumental fluxes as the clipped median over stars.

    Parameters
    ----------
    flux, flux_err
        Instrumental fluxes and their errors, one unit, shape ``(n,)``.
    reference_mag
        Catalogue magnitude of each star; NaN leaves it out.
    config
        Selection and clipping.

    Returns
    -------
    zero_point
        The median and its error.

    Raises
    ------
    AlgorithmError
        Too few stars are usable.
    """
    good = (flux > 0) & (flux_err > 0) & np.isfinite(flux)
    safe_flux = np.where(good, flux, 1.0)
    mag = np.where(good, -2.5 * np.log10(safe_flux), np.nan)
    err_mag = np.where(good, _MAG_PER_RELATIVE_FLUX * flux_err / safe_flux, np.nan)
    return fit_zero_point_mag(mag, err_mag, reference_mag, config=config)


def fit_zero_point_mag(
    mag: FloatArray, err_mag: FloatArray, reference_mag: FloatArray, *, config: ZeroPointConfig
) -> ZeroPoint:
    """Find the zero point of instrumental magnitudes as the clipped median over stars.

    Parameters
    ----------
    mag, err_mag
        Instrumental magnitudes and their errors, shape ``(n,)``; NaN leaves a star out.
    reference_mag
        Catalogue magnitude of each star; NaN leaves it out.
    config
        Selection and clipping.

    Returns
    -------
    zero_point
        The median and its error.

    Raises
    ------
    AlgorithmError
        Too few stars are usable.
    """
    difference = reference_mag - mag
    used = np.isfinite(difference)
    used &= err_mag <= _MAG_PER_RELATIVE_FLUX / config.min_signal_to_noise
    if used.sum() < config.min_stars:
        raise AlgorithmError(
            f"{int(used.sum())} stars are usable for the zero point; at least "
            f"{config.min_stars} are needed."
        )
    for _ in range(config.max_iterations):
        median = float(np.median(difference[used]))
        scatter = _MAD_TO_SIGMA * float(np.median(np.abs(difference[used] - median)))
        kept = used & (np.abs(difference - median) <= config.clip_sigma * max(scatter, 1e-9))
        if np.array_equal(kept, used):
            break
        used = kept
    err = _MEDIAN_TO_MEAN_ERROR * scatter / np.sqrt(float(used.sum()))
    return ZeroPoint(median, float(err), scatter, used)


@dataclass(frozen=True)
class ZeroPointVariation:
    """How the zero point changes over a detector."""

    rms_mag: float
    """Rms of the medians of the cells beyond their noise, mag; NaN with fewer than three cells."""
    significance: float
    """Chi-squared of the medians above its mean, in standard deviations."""

    @property
    def is_varying(self) -> bool:
        """Whether the zero point is another in different places, as under clouds."""
        return bool(self.significance > _VARIATION_SIGMA and self.rms_mag > _VARIATION_MAG)


def measure_variation(
    difference: FloatArray,
    *,
    y: FloatArray,
    x: FloatArray,
    shape: tuple[int, int],
    n_cells: int = 4,
) -> ZeroPointVariation:
    """Compare the zero points of the cells of a detector.

    Parameters
    ----------
    difference
        Catalogue minus instrumental magnitude of each star; NaN leaves a star out.
    y, x
        Where the stars lie, pixels from the corner, shape ``(n,)``.
    shape
        Size (y, x) of the detector, pixels.
    n_cells
        Cells along each axis.

    Returns
    -------
    variation
        What the cells of five and more stars show.
    """
    cell = _cells(y, x, shape, n_cells)
    medians, errors = [], []
    for number in range(n_cells**2):
        values = difference[(cell == number) & np.isfinite(difference)]
        if len(values) < _MIN_CELL_STARS:
            continue
        middle = float(np.median(values))
        scatter = _MAD_TO_SIGMA * float(np.median(np.abs(values - middle)))
        medians.append(middle)
        errors.append(_MEDIAN_TO_MEAN_ERROR * scatter / np.sqrt(len(values)))
    n = len(medians)
    if n < 3:
        return ZeroPointVariation(float("nan"), 0.0)
    # The scatter within a few stars is itself uncertain: the usual one is not undercut.
    error = np.maximum(np.array(errors), float(np.median(errors)))
    error = np.maximum(error, _LEAST_ERROR_MAG)
    middle = float(np.average(medians, weights=error**-2))
    off = np.array(medians) - middle
    chi2 = float(np.sum((off / error) ** 2))
    excess = float(np.mean(off**2) - np.mean(error**2))
    return ZeroPointVariation(
        float(np.sqrt(max(excess, 0.0))), (chi2 - (n - 1)) / float(np.sqrt(2.0 * (n - 1)))
    )


def _cells(
    y: FloatArray, x: FloatArray, shape: tuple[int, int], n_cells: int
) -> npt.NDArray[np.int64]:
    """Find the numbers of the cells that positions fall in; -1 for those off the detector."""
    row, column = (
        np.floor(np.nan_to_num(c, nan=-1.0) * n_cells / size).astype(np.int64)
        for c, size in ((y, shape[0]), (x, shape[1]))
    )
    inside = (row >= 0) & (row < n_cells) & (column >= 0) & (column < n_cells)
    return np.where(inside, row * n_cells + column, -1)
