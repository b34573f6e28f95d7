"""Raw exposures: what their headers say, beside the datasets of their pixels."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lsstpipe.data_model import DIMENSIONS, DataId
from lsstpipe.errors import ConflictError
from lsstpipe.registry.database import chunks, upsert
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.rows import Row, select_datasets, to_dataset
from lsstpipe.registry.tables import dataset, exposure

if TYPE_CHECKING:
    from lsstpipe.image.exposure import ObservationInfo

Polygon = Sequence[tuple[float, float]]
"""Corners on the sky: right ascension and declination, degrees."""

_INFO_FIELDS = tuple(c.name for c in exposure.c if c.name not in {"region", "raw_id"})
_MAYBE_NAN = ("ra_deg", "dec_deg", "airmass", "rotation_deg")

INFO_COLUMNS: dict[str, sa.ColumnElement[Any]] = {n: exposure.c[n] for n in _INFO_FIELDS}
"""Columns that a where-expression over exposures may name."""


def select_new(connection: sa.Connection, records: Sequence[DatasetRecord]) -> list[DatasetRecord]:
    """Find the raws that are not there yet, and refuse those that contradict what is there.

    Parameters
    ----------
    connection
        Within a transaction.
    records
        Raws to be ingested.

    Raises
    ------
    ConflictError
        If a data ID is there, or is given twice, with other pixels.
    """
    known: dict[object, tuple[str, str]] = {}
    own = {record.id: record.path for record in records}
    for ids in chunks(own):
        rows = connection.execute(
            sa.select(dataset.c.id, dataset.c.checksum, dataset.c.path).where(dataset.c.id.in_(ids))
        )
        known |= {row.id: (row.checksum, row.path or own[row.id]) for row in rows}
    new = []
    for record in records:
        if record.id not in known:
            known[record.id] = (record.checksum, record.path)
            new.append(record)
        checksum, path = known[record.id]
        if checksum != record.checksum:
            raise ConflictError(
                f"{record.path} and {path} both say that they are {record.data_id}, "
                "but their contents differ; leave one of them out."
            )
    return new


def write_infos(
    connection: sa.Connection,
    infos: Sequence[ObservationInfo],
    records: Sequence[DatasetRecord],
    regions: Mapping[DataId, Polygon],
) -> None:
    """Write what headers say, instead of what was written before.

    Parameters
    ----------
    connection
        Within a transaction.
    infos, records
        Headers and raws, in one order.
    regions
        Where on the sky a raw lies, by its data ID, for those of which it is known.
    """
    rows = []
    for info, record in zip(infos, records, strict=True):
        region = regions.get(record.data_id)
        packed = None if region is None else pack_region(region)
        rows.append(_to_row(info) | {"raw_id": record.id, "region": packed})
    if rows:
        connection.execute(upsert(connection, exposure), rows)


def query(
    connection: sa.Connection, condition: sa.ColumnElement[bool]
) -> list[tuple[ObservationInfo, DatasetRecord]]:
    """Find exposures, in the order of their times.

    Parameters
    ----------
    connection
        Within a transaction.
    condition
        On the columns of ``exposure``.
    """
    # Its module brings the PSF models and with them scipy and numba, which opening a registry and
    # finding a dataset do without.
    from lsstpipe.image.exposure import ObservationInfo

    labelled = [column.label(f"exposure_{name}") for name, column in INFO_COLUMNS.items()]
    statement = (
        select_datasets()
        .join(exposure, exposure.c.raw_id == dataset.c.id)
        .add_columns(*labelled)
        .where(condition)
        .order_by(exposure.c.mid_mjd, exposure.c.exposure, exposure.c.detector)
    )
    found = []
    for row in connection.execute(statement).mappings():
        values = {name: row[f"exposure_{name}"] for name in _INFO_FIELDS}
        known = {name: value for name, value in values.items() if value is not None}
        found.append((ObservationInfo(**known), to_dataset(row)))
    return found


def attribute(name: str) -> sa.ColumnElement[Any]:
    """Give a column of the exposure that a dataset comes from, for use in a where-expression.

    Visits are single exposures of the same number, and the detectors of an exposure differ in
    nothing but their number.

    Parameters
    ----------
    name
        A column of ``exposure`` that is the same for all of its detectors.
    """
    column = exposure.c[name]
    value: sa.ColumnElement[Any] = (
        sa.select(column)
        .where(
            exposure.c.instrument == dataset.c.instrument,
            exposure.c.exposure == sa.func.coalesce(dataset.c.exposure, dataset.c.visit),
        )
        .limit(1)
        .correlate(dataset)
        .scalar_subquery()
    )
    return sa.func.coalesce(dataset.c[name], value) if name in DIMENSIONS else value


def pack_region(region: Polygon) -> bytes:
    """Pack the corners of a polygon.

    Parameters
    ----------
    region
        Its corners.
    """
    values = [value for corner in region for value in corner]
    return struct.pack(f"<{len(values)}d", *values)


def _to_row(info: ObservationInfo) -> Row:
    row = {name: getattr(info, name) for name in _INFO_FIELDS}
    return row | {name: None for name in _MAYBE_NAN if math.isnan(row[name])}
