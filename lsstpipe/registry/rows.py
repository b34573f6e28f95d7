"""Records to rows of the registry and back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import RowMapping

from lsstpipe.data_model import DIMENSIONS, DataId
from lsstpipe.datasets import find_dataset_type
from lsstpipe.registry.database import chunks
from lsstpipe.registry.records import DatasetRecord, QuantumRecord
from lsstpipe.registry.tables import collection, dataset, dataset_type, quantum

Row = dict[str, Any]

_DATASET_COLUMNS = tuple(c.name for c in dataset.c)
_QUANTUM_COLUMNS = tuple(c.name for c in quantum.c if c.name not in {"run_id", "data_id"})
_NO_DIMENSIONS: dict[str, None] = dict.fromkeys(DIMENSIONS)


def select_datasets() -> sa.Select[Any]:
    """Select whole datasets, with the names of their types and runs."""
    return (
        sa.select(dataset, dataset_type.c.name.label("type_name"), collection.c.name.label("run"))
        .join(dataset_type, dataset_type.c.id == dataset.c.type_id)
        .join(collection, collection.c.id == dataset.c.run_id)
    )


def to_dataset(row: Mapping[str, Any] | RowMapping) -> DatasetRecord:
    """Make a record of a row of `select_datasets`.

    Parameters
    ----------
    row
        Values by column.
    """
    name, run, path = row["type_name"], row["run"], row["path"]
    data_id = DataId({name: row[name] for name in DIMENSIONS if row[name] is not None})
    return DatasetRecord(
        id=row["id"],
        dataset_type=name,
        data_id=data_id,
        run=run,
        path=find_dataset_type(name).path(data_id, run) if path is None else path,
        size=row["size"],
        checksum=row["checksum"],
        quantum_id=row["quantum_id"],
    )


def read_datasets(
    connection: sa.Connection, ids: Iterable[uuid.UUID]
) -> dict[uuid.UUID, DatasetRecord]:
    """Read datasets by their ids; those that are not there are left out.

    Parameters
    ----------
    connection
        Within a transaction.
    ids
        Any number of ids.
    """
    found: dict[uuid.UUID, DatasetRecord] = {}
    for part in chunks(ids):
        rows = connection.execute(select_datasets().where(dataset.c.id.in_(part))).mappings()
        found |= {row["id"]: to_dataset(row) for row in rows}
    return found


def from_dataset(record: DatasetRecord, type_id: int, run_id: int | None = None) -> Row:
    """Make a row of a record.

    Parameters
    ----------
    record
        The record.
    type_id, run_id
        Ids of its type and run in this database.
    """
    own = find_dataset_type(record.dataset_type).path(record.data_id, record.run)
    return {
        **_NO_DIMENSIONS,
        **record.data_id,
        "id": record.id,
        "type_id": type_id,
        "run_id": run_id,
        "path": None if record.path == own else record.path,
        "size": record.size,
        "checksum": record.checksum,
        "quantum_id": record.quantum_id,
    }


def dataset_values(
    records: Iterator[DatasetRecord], type_ids: Mapping[str, int], run_ids: Mapping[str, int]
) -> Iterator[list[Any]]:
    """Make the values of many records, in the order of the columns of ``dataset``.

    Parameters
    ----------
    records
        The records, which are taken one by one.
    type_ids, run_ids
        Ids of types and runs in this database.
    """
    for record in records:
        row = from_dataset(record, type_ids[record.dataset_type], run_ids[record.run])
        yield [row[name] for name in _DATASET_COLUMNS]


def quantum_values(
    records: Iterator[QuantumRecord], run_ids: Mapping[str, int]
) -> Iterator[list[Any]]:
    """Make the values of many records, in the order of the columns of ``quantum``.

    Their inputs and outputs have tables of their own.

    Parameters
    ----------
    records
        The records, which are taken one by one.
    run_ids
        Ids of runs in this database.
    """
    names = tuple(c.name for c in quantum.c)
    for record in records:
        row = {name: getattr(record, name) for name in _QUANTUM_COLUMNS}
        row |= {"run_id": run_ids[record.run], "data_id": json.dumps(dict(record.data_id))}
        yield [row[name] for name in names]


def to_quantum(row: RowMapping, inputs: list[Any], outputs: list[Any]) -> QuantumRecord:
    """Make a record of a row of the table ``quantum`` with the name of its run.

    Parameters
    ----------
    row
        Values by column, ``run`` among them.
    inputs, outputs
        Ids of its datasets.
    """
    values = {name: row[name] for name in _QUANTUM_COLUMNS}
    return QuantumRecord(
        **values,
        run=row["run"],
        data_id=DataId(json.loads(row["data_id"])),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
    )
