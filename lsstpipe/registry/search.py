"""Find datasets by data ID or by condition."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import RowMapping

from lsstpipe.data_model import DIMENSIONS, DataId, DatasetType, make_ref
from lsstpipe.registry import collections, exposures
from lsstpipe.registry.collections import Collection
from lsstpipe.registry.query import Columns, parse_where
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.rows import select_datasets, to_dataset
from lsstpipe.registry.tables import (
    calibration,
    collection,
    collection_member,
    dataset,
    dataset_type,
)

_EXPOSURE_ATTRIBUTES = (
    "physical_filter", "band", "observation_type", "target", "exposure_time_s", "mid_mjd",
    "airmass",
)  # fmt: skip


def find(
    connection: sa.Connection, kind: DatasetType, data_id: DataId, names: Sequence[str]
) -> DatasetRecord | None:
    """Find the first dataset of a type and data ID in collections of any kind.

    Parameters
    ----------
    connection
        Within a transaction.
    kind
        Its type.
    data_id
        At least the dimensions of the type.
    names
        Collections to search, in this order; calibrations need a time, so their collections are
        passed over.
    """
    flat = collections.flatten(connection, names)
    refs = {make_ref(kind, data_id, c.name).id: c.id for c in flat if c.kind == "RUN"}
    found: list[sa.ColumnElement[bool]] = [dataset.c.id.in_(list(refs))]
    tags = [c.id for c in flat if c.kind == "TAGGED"]
    if tags:
        found.append(same_data(connection, kind, data_id) & _tagged(tags))
    rows = connection.execute(select_datasets().where(sa.or_(*found))).mappings().all()
    order = _order(connection, flat, rows)
    return to_dataset(min(rows, key=lambda row: order[row["id"]])) if rows else None


def query(
    connection: sa.Connection,
    kind: DatasetType | None,
    where: str,
    names: Sequence[str] | None,
    like: DataId | None = None,
) -> list[DatasetRecord]:
    """Find datasets by a condition, in the order of their types, runs and data IDs.

    Parameters
    ----------
    connection
        Within a transaction.
    kind
        Their type; None for all.
    where
        A condition over `make_columns`.
    names
        Collections that must have them; of several the first wins for each data ID, and of one
        with calibrations all are given, which hold at different times. None for all runs, and then
        every run's dataset is given.
    like
        Values that their data IDs must have.
    """
    statement = select_datasets().where(parse_where(where, make_columns()))
    if kind is not None:
        statement = statement.where(_is_type(connection, kind))
    for name, value in (like or {}).items():
        statement = statement.where(dataset.c[name] == value)
    statement = statement.order_by(
        dataset.c.type_id, collection.c.name, *(dataset.c[name] for name in DIMENSIONS)
    )
    if names is None:
        return [to_dataset(row) for row in connection.execute(statement).mappings()]
    flat = collections.flatten(connection, names)
    rows = connection.execute(statement.where(_in_any(flat))).mappings().all()
    order = _order(connection, flat, rows)
    first: dict[tuple[str, DataId], int] = {}
    records = [to_dataset(row) for row in rows]
    for record in records:
        what = (record.dataset_type, record.data_id)
        first[what] = min(order[record.id], first.get(what, len(flat)))
    # Calibrations of one data ID may be of one place: each holds at a time of its own.
    return [r for r in records if order[r.id] == first[r.dataset_type, r.data_id]]


def make_columns() -> Columns:
    """Give the columns that a condition over datasets may name."""
    return {
        **{name: dataset.c[name] for name in DIMENSIONS},
        **{name: exposures.attribute(name) for name in _EXPOSURE_ATTRIBUTES},
        "type": dataset_type.c.name,
        "run": collection.c.name,
        "size": dataset.c.size,
    }


def _is_type(connection: sa.Connection, kind: DatasetType) -> sa.ColumnElement[bool]:
    named = sa.select(dataset_type.c.id).where(dataset_type.c.name == kind.name)
    type_id = connection.execute(named).scalar()
    return sa.false() if type_id is None else dataset.c.type_id == type_id


def same_data(
    connection: sa.Connection, kind: DatasetType, data_id: DataId
) -> sa.ColumnElement[bool]:
    """Select the datasets of a type and data ID in any run.

    Parameters
    ----------
    connection
        Within a transaction.
    kind
        The type.
    data_id
        At least its dimensions.
    """
    own = make_ref(kind, data_id, "").data_id
    return sa.and_(
        _is_type(connection, kind), *(dataset.c[name] == value for name, value in own.items())
    )


def _tagged(ids: Sequence[int]) -> sa.ColumnElement[bool]:
    return dataset.c.id.in_(
        sa.select(collection_member.c.dataset_id).where(collection_member.c.collection_id.in_(ids))
    )


def _in_any(flat: Sequence[Collection]) -> sa.ColumnElement[bool]:
    certified = sa.select(calibration.c.dataset_id).where(
        calibration.c.collection_id.in_([c.id for c in flat if c.kind == "CALIBRATION"])
    )
    return sa.or_(
        dataset.c.run_id.in_([c.id for c in flat if c.kind == "RUN"]),
        _tagged([c.id for c in flat if c.kind == "TAGGED"]),
        dataset.c.id.in_(certified),
    )


def _order(
    connection: sa.Connection, flat: Sequence[Collection], rows: Sequence[RowMapping]
) -> dict[uuid.UUID, int]:
    """Give the place of each dataset's first collection in the search."""
    rank = {item.id: order for order, item in enumerate(flat)}
    best = {row["id"]: rank.get(row["run_id"], len(rank)) for row in rows}
    if others := [item.id for item in flat if item.kind != "RUN"]:
        for table in (collection_member, calibration):
            held = sa.select(table.c.dataset_id, table.c.collection_id)
            for row in connection.execute(held.where(table.c.collection_id.in_(others))):
                if row.dataset_id in best:
                    best[row.dataset_id] = min(rank[row.collection_id], best[row.dataset_id])
    return best
