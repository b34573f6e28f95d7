"""What a plan starts from: the raws of the campaign, the patches, and what exists already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, overload

import numpy as np
import numpy.typing as npt

from lsstpipe.geometry.region import pairs_within
from lsstpipe.image.exposure import ObservationInfo
from lsstpipe.plan.overlap import find_overlaps
from lsstpipe.plan.rows import IndexArray, Rows, is_in
from lsstpipe.registry.calibrations import Calibration
from lsstpipe.registry.records import DatasetRecord

RAW_COLUMNS = (
    "instrument",
    "exposure",
    "detector",
    "physical_filter",
    "band",
    "observation_type",
    "ra_deg",
    "dec_deg",
    "mid_mjd",
)
PATCH_COLUMNS = ("skymap", "tract", "patch")
SKY_COLUMNS = ("instrument", "exposure", "visit", "detector", "physical_filter", "band")


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Selection:
    """What a plan starts from.

    Attributes
    ----------
    raws
        One row a raw, with the columns `RAW_COLUMNS`.
    records
        The dataset of each of them, in the same order.
    patches
        One row a patch, with the columns `PATCH_COLUMNS`.
    polygons
        Outer region of each patch: unit vectors, shape ``(n_patches, n_corners, 3)``.
    radius_deg
        Radius around a raw's position within which all its pixels are, in degrees.
    existing
        Datasets that are there besides, by dataset type.
    calibrations
        Certified calibrations by dataset type, in the order in which collections are searched.
    is_ordered
        Whether that order was asked for: of two calibrations that hold at once the first is taken
        then, else they are refused.
    visits
        Numbers of all visits of the campaign, ascending, where `raws` has only a part of them.
    infos
        What the header of each raw says, in the order of `records`; empty where nobody has read
        them.
    outlines
        Corners of each raw, unit vectors of shape ``(n_raws, 4, 3)``, NaN where they are not known;
        None where none are.
    margin_deg
        How far from its outline a pixel of a raw may be, degrees.
    """

    raws: Rows
    records: Sequence[DatasetRecord]
    patches: Rows
    polygons: npt.NDArray[np.float64]
    radius_deg: float
    existing: Mapping[str, Sequence[DatasetRecord]] = field(default_factory=dict)
    calibrations: Mapping[str, Sequence[Calibration]] = field(default_factory=dict)
    is_ordered: bool = False
    visits: IndexArray | None = None
    infos: Sequence[ObservationInfo] = ()
    outlines: npt.NDArray[np.float64] | None = None
    margin_deg: float = 0.0


def science_rows(raws: Rows) -> Rows:
    """Select the science raws, and give each the visit that it is.

    Parameters
    ----------
    raws
        Raws with the columns `RAW_COLUMNS`.
    """
    science = raws.take(raws["observation_type"] == "science")
    return Rows({**science.columns, "visit": science["exposure"]}, len(science))


class Picked(Sequence[Item]):
    """Some of many things, in an order of their own.

    Parameters
    ----------
    records
        All.
    rows
        Which.
    """

    def __init__(self, records: Sequence[Item], rows: IndexArray) -> None:
        self._records = records
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            return Picked(self._records, self._rows[index])
        return self._records[int(self._rows[index])]


def take_raws(
    selection: Selection, keep: npt.NDArray[np.bool_], visits: IndexArray | None
) -> Selection:
    """Keep some of the raws of a selection.

    Parameters
    ----------
    selection
        The whole.
    keep
        Whether each raw is kept.
    visits
        Numbers of all visits of the campaign.
    """
    rows = np.flatnonzero(keep)
    records: Sequence[DatasetRecord] = Picked(selection.records, rows)
    infos: Sequence[ObservationInfo] = Picked(selection.infos, rows) if selection.infos else ()
    outlines = None if selection.outlines is None else selection.outlines[keep]
    return replace(
        selection,
        raws=selection.raws.take(keep),
        records=records,
        visits=visits,
        infos=infos,
        outlines=outlines,
    )


def prefer_kinds(
    raws: Rows, kinds: Sequence[str], dimensions: Sequence[str]
) -> npt.NDArray[np.bool_]:
    """Tell which raws a task takes that takes, of each data ID, the first kind that there is.

    Parameters
    ----------
    raws
        Raws with the columns `RAW_COLUMNS`.
    kinds
        Kinds of exposure, the most wanted first.
    dimensions
        Columns of the data IDs of the task; those that raws do not have count for nothing.
    """
    own = [name for name in dimensions if name in raws]
    taken: npt.NDArray[np.bool_] = raws["observation_type"] == kinds[0]
    for kind in kinds[1:]:
        other = raws["observation_type"] == kind
        taken |= other & ~is_in(raws, raws.take(taken), own)
    return taken


def pair_with_patches(selection: Selection) -> tuple[IndexArray, IndexArray]:
    """Find the science raws and the patches that may overlap.

    By circles around raws first, then by outlines where these are known.

    Parameters
    ----------
    selection
        Raws and patches.

    Returns
    -------
    raws, patches
        Numbers of the pairs, sorted; those of raws count science raws only.
    """
    is_science = selection.raws["observation_type"] == "science"
    ra_deg, dec_deg = (selection.raws[name][is_science] for name in ("ra_deg", "dec_deg"))
    left, right = find_overlaps(selection.polygons, ra_deg, dec_deg, selection.radius_deg)
    if selection.outlines is None:
        return left, right
    outlines = selection.outlines[is_science]
    is_known = np.isfinite(outlines[left, 0, 0])
    keep = ~is_known
    keep[is_known] = pairs_within(
        outlines, selection.polygons, left[is_known], right[is_known], selection.margin_deg
    )
    return left[keep], right[keep]


def sky_rows(science: Rows, selection: Selection) -> Rows:
    """Pair every science raw with every patch that it may overlap.

    Parameters
    ----------
    science
        Raws of `science_rows`.
    selection
        The patches, and how large a raw is.

    Returns
    -------
    sky
        One row a pair, with the columns `SKY_COLUMNS` and `PATCH_COLUMNS`, sorted by raw.
    """
    left, right = pair_with_patches(selection)
    columns_of = {name: science[name][left] for name in SKY_COLUMNS}
    columns_of |= {name: selection.patches[name][right] for name in PATCH_COLUMNS}
    return Rows(columns_of, len(left))
