"""Whether the date of a reference catalogue is right: misses along the proper motions tell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_N_SIGMA = 5.0
_LEAST_YEARS = 1.0
_MIN_STARS = 10


@dataclass(frozen=True, slots=True)
class EpochOffset:
    """How many years the date of a catalogue seems to be off.

    Attributes
    ----------
    years
        Years by which the stars have moved further than the catalogue's date says; NaN if the
        proper motions do not tell.
    error
        Standard error of ``years``.
    """

    years: float
    error: float

    @property
    def is_wrong(self) -> bool:
        """Whether the date is off by more than a year and five standard errors."""
        return bool(abs(self.years) > max(_LEAST_YEARS, _N_SIGMA * self.error))


def fit_epoch_offset(miss_mas: FloatArray, motion_mas_per_year: FloatArray) -> EpochOffset:
    """Fit the miss of each star by its proper motion times a number of years.

    Parameters
    ----------
    miss_mas
        Measured minus predicted position along right ascension, times cos(dec), and declination,
        shape ``(n, 2)``.
    motion_mas_per_year
        Proper motions, same shape.

    Returns
    -------
    offset
        NaN with fewer than 10 stars that move.
    """
    good = np.isfinite(miss_mas + motion_mas_per_year).all(axis=1)
    good &= (motion_mas_per_year != 0).any(axis=1)
    if good.sum() < _MIN_STARS:
        return EpochOffset(np.nan, np.nan)
    # The map follows what all stars have in common.
    miss = miss_mas[good] - miss_mas[good].mean(axis=0)
    motion = motion_mas_per_year[good] - motion_mas_per_year[good].mean(axis=0)
    total = float((motion**2).sum())
    if total == 0:
        return EpochOffset(np.nan, np.nan)
    years = float((miss * motion).sum()) / total
    scatter = float(np.sqrt(np.mean((miss - years * motion) ** 2)))
    return EpochOffset(years, scatter / np.sqrt(total))
