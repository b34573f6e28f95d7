"""Proper motions of stars from what a joint fit leaves of their positions over the years."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_MIN_VISITS = 3


@dataclass(frozen=True)
class MotionPrior:
    """What is known of the motions before the fit, shape ``(n_stars, 2)`` each."""

    motion: FloatArray
    """Expected motion along each axis, units of position a year."""
    error: FloatArray
    """Its standard error; 0 holds the motion."""


@dataclass(frozen=True)
class StarDates:
    """When each observation was made, and which star and weight it has; shape ``(n,)`` each."""

    star: IntArray
    years: FloatArray
    weight: FloatArray
    """Inverse variance of a position on one axis; 0 leaves it out."""

    def spread(self, n_stars: int) -> tuple[FloatArray, FloatArray]:
        """Give the weighted mean date of each star, and the weighted squares about it.

        Parameters
        ----------
        n_stars
            Count of stars.
        """
        total = np.bincount(self.star, self.weight, n_stars)
        mean = np.bincount(self.star, self.weight * self.years, n_stars)
        mean = np.divide(mean, total, out=np.zeros(n_stars), where=total > 0)
        offset = self.years - mean[self.star]
        squares = np.bincount(self.star, self.weight * offset**2, n_stars)
        return np.asarray(mean, np.float64), np.asarray(squares, np.float64)


def find_movers(dates: StarDates, n_stars: int, *, min_years: float) -> BoolArray:
    """Find the stars whose dates allow a motion to be fitted.

    Parameters
    ----------
    dates
        The observations.
    n_stars
        Count of stars.
    min_years
        Least span of the dates.

    Returns
    -------
    can_move
        Stars of three and more observations over at least that span, shape ``(n_stars,)``.
    """
    seen = dates.weight > 0
    first, last = np.full(n_stars, np.inf), np.full(n_stars, -np.inf)
    np.minimum.at(first, dates.star[seen], dates.years[seen])
    np.maximum.at(last, dates.star[seen], dates.years[seen])
    enough = np.bincount(dates.star[seen], minlength=n_stars) >= _MIN_VISITS
    return np.asarray(enough & (last - first >= min_years))


def improve_motions(
    residual: FloatArray, dates: StarDates, motion: FloatArray, prior: MotionPrior
) -> tuple[FloatArray, FloatArray]:
    """Correct the motions by the slope of what is left of the positions against the date.

    Parameters
    ----------
    residual
        Position minus that of its star under the current motions, shape ``(n, 2)``.
    dates
        The observations.
    motion
        Current motion of each star along each axis, shape ``(n_stars, 2)``.
    prior
        What is known of the motions.

    Returns
    -------
    motion, error
        Better motions and their standard errors, shape ``(n_stars, 2)``.
    """
    n_stars = len(motion)
    mean, squares = dates.spread(n_stars)
    lever = np.where(dates.weight > 0, dates.weight * (dates.years - mean[dates.star]), 0.0)
    known = np.where(np.isfinite(residual), residual, 0.0)
    slopes = np.stack([np.bincount(dates.star, lever * r, n_stars) for r in known.T], axis=1)
    weight = np.divide(1.0, prior.error**2, out=np.zeros_like(prior.error), where=prior.error > 0)
    total = squares[:, None] + weight
    step = slopes + weight * (prior.motion - motion)
    held = (prior.error <= 0) | (total <= 0)
    safe = np.where(held, 1.0, total)
    return (
        np.where(held, prior.motion, motion + step / safe),
        np.where(held, 0.0, 1.0 / np.sqrt(safe)),
    )
