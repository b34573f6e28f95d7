"""Which certified calibration holds when the exposures of a quantum were taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from astropy.time import Time

from lsstpipe.data_model import DIMENSIONS
from lsstpipe.errors import UserError
from lsstpipe.plan.rows import IndexArray, Rows, match
from lsstpipe.registry.calibrations import Calibration

FloatArray = npt.NDArray[np.float64]


def find_times(rows: Rows, raws: Rows) -> FloatArray:
    """Find when the exposures of each quantum were taken.

    Parameters
    ----------
    rows
        Data IDs of the quanta.
    raws
        The exposures that belong to them; a quantum that has none has all of these.

    Returns
    -------
    numpy.ndarray
        TAI MJD, shape ``(n,)``; of several exposures the middle between the first and the last.
    """
    names = [name for name in rows.columns if name in raws and name in DIMENSIONS]
    left, right = match(rows, raws, names)
    times = raws["mid_mjd"].astype(np.float64)
    begin, end = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    np.minimum.at(begin, left, times[right])
    np.maximum.at(end, left, times[right])
    alone = ~np.isfinite(begin)
    if len(raws):
        begin[alone], end[alone] = times.min(), times.max()
    middle: FloatArray = (begin + end) / 2
    return middle


def choose_valid(
    pairs: tuple[IndexArray, IndexArray],
    calibrations: Sequence[Calibration],
    times: FloatArray,
    *,
    is_ordered: bool,
) -> tuple[IndexArray, IndexArray]:
    """Choose for each quantum the calibration that holds at its time.

    Parameters
    ----------
    pairs
        Numbers of quanta and of calibrations of their data IDs, sorted by quantum, then by
        calibration.
    calibrations
        All of one type, in the order in which collections are searched.
    times
        When the exposures of the quanta were taken, TAI MJD.
    is_ordered
        Whether the first is taken of two that hold at once.

    Returns
    -------
    quanta, calibrations
        Numbers of the pairs that are left, one a quantum.

    Raises
    ------
    UserError
        If there are calibrations for a quantum and none holds, or two do.
    """
    left, right = pairs
    begin = np.array([c.valid_begin_mjd for c in calibrations], dtype=np.float64)
    end = np.array([c.valid_end_mjd for c in calibrations], dtype=np.float64)
    holds = (begin[right] <= times[left]) & (times[left] < end[right])
    without = np.setdiff1d(left, left[holds])
    if len(without):
        certified = [calibrations[i] for i in right[left == without[0]].tolist()]
        raise UserError(_say_missing(certified, float(times[without[0]])))
    left, right = left[holds], right[holds]
    first = np.unique(left, return_index=True)[1]
    if not is_ordered:
        chosen = np.repeat(right[first], np.diff([*first, len(left)]))
        for i in np.flatnonzero(right != chosen).tolist():
            _refuse_two(calibrations[chosen[i]], calibrations[right[i]], float(times[left[i]]))
    return left[first], right[first]


def _say_missing(certified: Sequence[Calibration], mjd: float) -> str:
    """Say which calibration no exposure of a time can be given."""
    record = certified[0].dataset
    ranges = ", ".join(
        f"{_date(c.valid_begin_mjd)} to {_date(c.valid_end_mjd)}" for c in certified[:3]
    )
    return (
        f"No {record.dataset_type} of {record.data_id} holds on {_date(mjd)} (MJD {mjd:.4f}); "
        f"certified are those of {ranges}: certify one for that date, or leave the exposures out."
    )


def _refuse_two(one: Calibration, other: Calibration, mjd: float) -> None:
    """Refuse two calibrations of one time, unless they are one dataset."""
    if one.dataset.id != other.dataset.id:
        raise UserError(
            f"Two calibrations {one.dataset.dataset_type} of {one.dataset.data_id} hold on "
            f"{_date(mjd)}, {one.dataset.path} and {other.dataset.path}; list the collections to "
            f"search in 'calibrations' of the campaign, that of the one to take first."
        )


def _date(mjd: float) -> str:
    """Write a day for people; open ends of ranges are none."""
    if not np.isfinite(mjd):
        return "the beginning" if mjd < 0 else "the end"
    return str(Time(mjd, format="mjd", scale="tai").strftime("%Y-%m-%d"))
