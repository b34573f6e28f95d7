"""Where datasets lie on the sky, and which of them overlap.

Regions are read as arrays and compared as arrays: the database keeps them, and need not know what
a sphere is.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from lsstpipe.data_model import DataId
from lsstpipe.errors import UserError
from lsstpipe.geometry.position import Position
from lsstpipe.geometry.region import pairs_overlap, polygons_from_sky
from lsstpipe.registry.database import upsert
from lsstpipe.registry.exposures import Polygon, pack_region, unpack_region
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.tables import exposure, patch_region

Columns = dict[str, npt.NDArray[Any]]

_EXPOSURE = ("instrument", "exposure", "detector")
_PATCH = ("skymap", "tract", "patch")


def write_patches(
    connection: sa.Connection, skymap: str, patches: Sequence[tuple[int, int, Polygon]]
) -> None:
    """Note where patches lie, instead of what was noted before.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    skymap
        Their sky map.
    patches
        Tract, patch and the corners of each.
    """
    rows = [
        {"skymap": skymap, "tract": tract, "patch": patch, "region": pack_region(corners)}
        for tract, patch, corners in patches
    ]
    if rows:
        connection.execute(upsert(connection, patch_region), rows)


def read_patches(
    connection: sa.Connection, keys: Set[tuple[str, int]]
) -> list[tuple[str, int, int, Polygon]]:
    """Read which patches tracts have: sky map, tract, patch and corners, sorted by these.

    Parameters
    ----------
    connection
        Within a transaction.
    keys
        Sky map and number of the tracts.
    """
    names = [patch_region.c[name] for name in _PATCH]
    found: list[tuple[str, int, int, Polygon]] = []
    for skymap in sorted({skymap for skymap, _ in keys}):
        statement = sa.select(*names, patch_region.c.region).where(patch_region.c.skymap == skymap)
        found += [
            (skymap, row.tract, row.patch, unpack_region(row.region))
            for row in connection.execute(statement.order_by(*names))
            if (skymap, row.tract) in keys
        ]
    return found


def select_overlapping(
    connection: sa.Connection, records: Sequence[DatasetRecord], position: Position
) -> list[DatasetRecord]:
    """Keep the datasets that share a point of the sky with a region.

    A dataset of an exposure lies where the telescope pointed; one of a visit where any of its
    detectors does, one of a tract where any of its patches does.

    Parameters
    ----------
    connection
        Within a transaction.
    records
        Datasets; those without a place on the sky are left out.
    position
        The region.
    """
    shown: set[tuple[Any, ...]] = set()
    in_patches = {"tract" in record.data_id for record in records}
    for has_patches, table, names in (
        (False, exposure, _EXPOSURE),
        (True, patch_region, _PATCH),
    ):
        if has_patches not in in_patches:
            continue  # their regions may be a million that nobody asked for
        keys, polygons = _read_regions(connection, table, names)
        if len(polygons):
            for n in np.flatnonzero(position.overlaps(polygons)).tolist():
                key = tuple(keys[name][n] for name in names)
                # A dataset of the whole visit or tract has one dimension less.
                shown |= {key, key[:-1]}
    return [record for record in records if _place(record) in shown]


def _place(record: DatasetRecord) -> tuple[Any, ...] | None:
    """Give the key of the region that a dataset lies in."""
    data_id = record.data_id
    if "tract" in data_id:
        return tuple(data_id[name] for name in _PATCH if name in data_id)
    number = data_id.get("exposure", data_id.get("visit"))
    if number is None:
        return None
    rest = (data_id["detector"],) if "detector" in data_id else ()
    return (data_id["instrument"], number, *rest)


def read_outlines(
    connection: sa.Connection, kind: Literal["exposure", "patch"]
) -> dict[DataId, npt.NDArray[np.float64]]:
    """Read where detectors of exposures, or patches, lie.

    Parameters
    ----------
    connection
        Within a transaction.
    kind
        Which.

    Returns
    -------
    polygons
        Unit vectors of the corners, counter-clockwise, shape ``(n, 3)``, by data ID.
    """
    table, names = (exposure, _EXPOSURE) if kind == "exposure" else (patch_region, _PATCH)
    keys, polygons = _read_regions(connection, table, names)
    rows = zip(*(keys[name].tolist() for name in names), strict=True)
    data_ids = (DataId(dict(zip(names, row, strict=True))) for row in rows)
    return dict(zip(data_ids, polygons, strict=True))


def find_overlaps(
    connection: sa.Connection, skymap: str, condition: sa.ColumnElement[bool]
) -> Columns:
    """Find all pairs of an exposure's detector and a patch that overlap.

    Parameters
    ----------
    connection
        Within a transaction.
    skymap
        The sky map of the patches.
    condition
        On the columns of ``exposure``.

    Returns
    -------
    columns
        Instrument, exposure, detector, tract and patch of each pair, sorted by these.
    """
    raws, outlines = _read_regions(connection, exposure, _EXPOSURE, condition)
    patches, cells = _read_regions(
        connection, patch_region, _PATCH, patch_region.c.skymap == skymap
    )
    if len(cells) == 0:
        raise UserError(f"No patches of the sky map '{skymap}' are known; ingest a campaign of it.")
    left, right = pairs_overlap(outlines, cells)
    return {name: raws[name][left] for name in _EXPOSURE} | {
        name: patches[name][right] for name in ("tract", "patch")
    }


def _read_regions(
    connection: sa.Connection,
    table: sa.Table,
    names: Sequence[str],
    condition: sa.ColumnElement[bool] | None = None,
) -> tuple[Columns, npt.NDArray[np.float64]]:
    """Read keys and polygons, in the order of the keys; those without a region are left out."""
    columns = [table.c[name] for name in names]
    statement = sa.select(*columns, table.c.region).where(table.c.region.is_not(None))
    if condition is not None:
        statement = statement.where(condition)
    result = connection.execute(statement.order_by(*columns))
    # What the driver gives will do: to make rows of it would take as long as to find the overlaps.
    assert result.cursor is not None
    rows = result.cursor.fetchall()
    result.close()
    if not rows:
        return {name: np.array([]) for name in names}, np.empty((0, 4, 3))
    *values, regions = zip(*rows, strict=True)
    keys = {name: np.array(column) for name, column in zip(names, values, strict=True)}
    corners = np.frombuffer(b"".join(regions), dtype="<f8").reshape(len(rows), -1, 2)
    return keys, polygons_from_sky(corners[..., 0], corners[..., 1])
