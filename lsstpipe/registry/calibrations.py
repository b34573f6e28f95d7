"""Calibrations: datasets that hold from one time to another."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import RowMapping

from lsstpipe.errors import ConflictError, RepositoryError, UserError
from lsstpipe.registry import collections
from lsstpipe.registry.database import chunks, upsert
from lsstpipe.registry.records import DatasetRecord, find_twins
from lsstpipe.registry.rows import read_datasets, select_datasets, to_dataset
from lsstpipe.registry.tables import calibration, dataset


@dataclass(frozen=True, slots=True)
class Calibration:
    """A dataset and the times for which it holds: TAI MJD, begin included, end excluded."""

    dataset: DatasetRecord
    valid_begin_mjd: float
    valid_end_mjd: float


def certify(
    connection: sa.Connection,
    name: str,
    dataset_ids: Sequence[uuid.UUID],
    valid_begin_mjd: float,
    valid_end_mjd: float,
) -> None:
    """Let datasets hold for a range of time.

    A dataset holds in a collection for one range: one that overlaps or touches the range that it
    has takes its place. One that lies apart is refused, for it would end the other silently.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    name
        A calibration collection, which is made if it is not there.
    dataset_ids
        Datasets that exist.
    valid_begin_mjd, valid_end_mjd
        TAI MJD, begin included, end excluded.

    Raises
    ------
    ConflictError
        If another dataset of the same type and data ID holds for a part of that time, or is among
        those that are given; or if one that is given holds there for a range that lies apart.
    """
    if not valid_begin_mjd < valid_end_mjd:
        raise UserError(
            f"A validity range must end after it begins, got {valid_begin_mjd} to {valid_end_mjd}."
        )
    target = collections.ensure(connection, [name], "CALIBRATION")[name]
    collections.lock(connection, target)  # the check below must hold until the end
    records = read_datasets(connection, dataset_ids)
    if missing := [item for item in dataset_ids if item not in records]:
        raise RepositoryError(f"There is no dataset {missing[0]} to certify.")
    overlapping = sa.and_(
        calibration.c.valid_begin < valid_end_mjd, calibration.c.valid_end > valid_begin_mjd
    )
    held = {
        (item.dataset.dataset_type, item.dataset.data_id): item
        for item in _select(connection, [target.id], overlapping)
        if item.dataset.id not in records
    }
    if twins := find_twins(records.values()):
        first, second = twins
        raise ConflictError(
            f"{first.path} and {second.path} both are {first.dataset_type} of {first.data_id}, so "
            f"they cannot hold at once in '{name}'; leave one out."
        )
    for record in records.values():
        if other := held.get((record.dataset_type, record.data_id)):
            raise ConflictError(
                f"{record.dataset_type} of {record.data_id} holds already from MJD "
                f"{other.valid_begin_mjd} to {other.valid_end_mjd} in '{name}' as "
                f"{other.dataset.path}, which overlaps {valid_begin_mjd} to {valid_end_mjd}."
            )
    _refuse_apart(connection, target, list(records), (valid_begin_mjd, valid_end_mjd))
    rows_new = [
        {
            "collection_id": target.id,
            "dataset_id": item,
            "valid_begin": valid_begin_mjd,
            "valid_end": valid_end_mjd,
        }
        for item in records
    ]
    if rows_new:
        connection.execute(upsert(connection, calibration), rows_new)


def _refuse_apart(
    connection: sa.Connection,
    target: collections.Collection,
    dataset_ids: Sequence[uuid.UUID],
    span: tuple[float, float],
) -> None:
    """Refuse a second range for a dataset: a collection keeps one."""
    begin, end = span
    apart = (calibration.c.valid_begin > end) | (calibration.c.valid_end < begin)
    for ids in chunks(dataset_ids):
        for item in _select(connection, [target.id], apart & calibration.c.dataset_id.in_(ids)):
            raise ConflictError(
                f"{item.dataset.path} holds from MJD {item.valid_begin_mjd} to "
                f"{item.valid_end_mjd} in '{target.name}', which keeps one range of a dataset; "
                f"release it there first, or certify it from {begin} to {end} in another "
                "collection."
            )


def query(
    connection: sa.Connection, names: Sequence[str], condition: sa.ColumnElement[bool]
) -> list[Calibration]:
    """Find calibrations in collections, in the order of the search, then of time.

    Parameters
    ----------
    connection
        Within a transaction.
    names
        Collections; those that are not of kind CALIBRATION are passed over.
    condition
        On the columns of ``dataset`` and ``calibration``.
    """
    flat = collections.flatten(connection, names)
    return _select(connection, [item.id for item in flat if item.kind == "CALIBRATION"], condition)


def _select(
    connection: sa.Connection, collection_ids: Sequence[int], condition: sa.ColumnElement[bool]
) -> list[Calibration]:
    rows = connection.execute(
        select_datasets()
        .join(calibration, calibration.c.dataset_id == dataset.c.id)
        .add_columns(
            calibration.c.valid_begin,
            calibration.c.valid_end,
            calibration.c.collection_id.label("holder_id"),
        )
        .where(calibration.c.collection_id.in_(collection_ids), condition)
    ).mappings()
    rank = {item: order for order, item in enumerate(collection_ids)}

    def order(row: RowMapping) -> tuple[int, float, uuid.UUID]:
        return rank[row["holder_id"]], row["valid_begin"], row["id"]

    return [
        Calibration(to_dataset(row), row["valid_begin"], row["valid_end"])
        for row in sorted(rows, key=order)
    ]
