"""Exposures: what the headers of raws say, beside the datasets of their pixels.

Where a raw did not come along, as with an import, its exposure hangs on a dataset that was made of
it, for conditions and places ask for the exposure; it is no raw that could be reduced.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from lsstpipe.data_model import DIMENSIONS, DataId
from lsstpipe.errors import ConflictError
from lsstpipe.registry.database import IN_CHUNK, chunks, insert, upsert
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.rows import Row, select_datasets, to_dataset
from lsstpipe.registry.tables import dataset, dataset_type, exposure

if TYPE_CHECKING:
    from lsstpipe.image.exposure import ObservationInfo

Polygon = Sequence[tuple[float, float]]
"""Corners on the sky: right ascension and declination, degrees."""

ExposureKey = tuple[str, int]
"""Instrument and number of an exposure."""

RAW = "raw"
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
    """Write what headers say: of raws instead of what was written before, else where nothing was.

    Parameters
    ----------
    connection
        Within a transaction.
    infos, records
        Headers and raws, or what was made of raws that are not there, in one order.
    regions
        Where on the sky a raw lies, by its data ID, for those of which it is known.
    """
    rows: list[Row] = []
    hearsay: list[Row] = []
    for info, record in zip(infos, records, strict=True):
        data_id = DataId(instrument=info.instrument, exposure=info.exposure, detector=info.detector)
        region = regions.get(data_id)
        packed = None if region is None else pack_region(region)
        into = rows if record.dataset_type == RAW else hearsay
        into.append(_to_row(info) | {"raw_id": record.id, "region": packed})
    if rows:
        connection.execute(upsert(connection, exposure), rows)
    if hearsay:
        connection.execute(insert(connection, exposure).on_conflict_do_nothing(), hearsay)


def query(
    connection: sa.Connection, condition: sa.ColumnElement[bool]
) -> list[tuple[ObservationInfo, DatasetRecord]]:
    """Find exposures of which there are raws, in the order of their times.

    Parameters
    ----------
    connection
        Within a transaction.
    condition
        On the columns of ``exposure``.
    """
    labelled = [column.label(f"exposure_{name}") for name, column in INFO_COLUMNS.items()]
    statement = (
        select_datasets()
        .join(exposure, exposure.c.raw_id == dataset.c.id)
        .add_columns(*labelled)
        .where(condition, dataset_type.c.name == RAW)
        .order_by(exposure.c.mid_mjd, exposure.c.exposure, exposure.c.detector)
    )
    found = []
    for row in connection.execute(statement).mappings():
        values = {name: row[f"exposure_{name}"] for name in _INFO_FIELDS}
        found.append((_to_info(values), to_dataset(row)))
    return found


def query_known(
    connection: sa.Connection, keys: Set[ExposureKey]
) -> list[tuple[ObservationInfo, Polygon | None]]:
    """Find all detectors of exposures, with raws or without, and where they lie; by data ID.

    Parameters
    ----------
    connection
        Within a transaction.
    keys
        The exposures; those that are not known are passed over.
    """
    found = []
    numbers = sorted({number for _, number in keys})
    for start in range(0, len(numbers), IN_CHUNK):
        part = numbers[start : start + IN_CHUNK]
        statement = sa.select(exposure).where(exposure.c.exposure.in_(part))
        for row in connection.execute(statement).mappings():
            if (row["instrument"], row["exposure"]) in keys:
                region = None if row["region"] is None else unpack_region(row["region"])
                found.append((_to_info({name: row[name] for name in _INFO_FIELDS}), region))
    return sorted(found, key=lambda f: (f[0].instrument, f[0].exposure, f[0].detector))


def hand_over(connection: sa.Connection, going: sa.Select[Any]) -> None:
    """Hang exposures on other datasets of theirs; forget those of which there is none left.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    going
        Ids of datasets that are about to be deleted.
    """
    hangs = exposure.c.raw_id.in_(going)
    if connection.execute(sa.select(exposure.c.exposure).where(hangs).limit(1)).first() is None:
        return
    heir = dataset.alias("heir")
    heirs = sa.select(heir.c.id).where(
        heir.c.instrument == exposure.c.instrument,
        sa.or_(heir.c.visit == exposure.c.exposure, heir.c.exposure == exposure.c.exposure),
        heir.c.id.not_in(going),
    )
    first = heirs.order_by(heir.c.id).limit(1).correlate(exposure).scalar_subquery()
    exists = heirs.correlate(exposure).exists()
    connection.execute(sa.update(exposure).where(hangs, exists).values(raw_id=first))
    connection.execute(sa.delete(exposure).where(hangs))


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


def unpack_region(packed: bytes) -> list[tuple[float, float]]:
    """Give the corners that `pack_region` packed.

    Parameters
    ----------
    packed
        What it gave.
    """
    return [(ra, dec) for ra, dec in struct.iter_unpack("<2d", packed)]


def _to_info(values: Mapping[str, Any]) -> ObservationInfo:
    # Its module brings the PSF models and with them scipy and numba, which opening a registry and
    # finding a dataset do without.
    from lsstpipe.image.exposure import ObservationInfo

    return ObservationInfo(**{n: value for n, value in values.items() if value is not None})


def _to_row(info: ObservationInfo) -> Row:
    row = {name: getattr(info, name) for name in _INFO_FIELDS}
    return row | {name: None for name in _MAYBE_NAN if math.isnan(row[name])}
