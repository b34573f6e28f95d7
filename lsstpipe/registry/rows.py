"""Records to rows of the registry and back."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy import RowMapping

from lsstpipe.data_model import DIMENSIONS, DataId
from lsstpipe.registry.records import DatasetRecord, QuantumRecord
from lsstpipe.registry.tables import collection, dataset, dataset_type, quantum

Row = dict[str, Any]

_QUANTUM_COLUMNS = tuple(c.name for c in quantum.c if c.name not in {"run_id", "data_id"})
_NO_DIMENSIONS: dict[str, None] = dict.fromkeys(DIMENSIONS)


def select_datasets() -> sa.Select[Any]:
    """Select whole datasets, with the names of their types and runs."""
    return (
        sa.select(dataset, dataset_type.c.name.label("type_name"), collection.c.name.label("run"))
        .join(dataset_type, dataset_type.c.id == dataset.c.type_id)
        .join(collection, collection.c.id == dataset.c.run_id)
    )


def to_dataset(row: RowMapping) -> DatasetRecord:
    """Make a record of a row of `select_datasets`.

    Parameters
    ----------
    row
        Values by column.
    """
    return DatasetRecord(
        id=row["id"],
        dataset_type=row["type_name"],
        data_id=DataId({name: row[name] for name in DIMENSIONS if row[name] is not None}),
        run=row["run"],
        path=row["path"],
        size=row["size"],
        checksum=row["checksum"],
        quantum_id=row["quantum_id"],
    )


def from_dataset(record: DatasetRecord, type_id: int, run_id: int) -> Row:
    """Make a row of a record.

    Parameters
    ----------
    record
        The record.
    type_id, run_id
        Ids of its type and run in this database.
    """
    return {
        **_NO_DIMENSIONS,
        **record.data_id,
        "id": record.id,
        "type_id": type_id,
        "run_id": run_id,
        "path": record.path,
        "size": record.size,
        "checksum": record.checksum,
        "quantum_id": record.quantum_id,
    }


def from_quantum(record: QuantumRecord, run_id: int) -> Row:
    """Make a row of a record; its inputs and outputs have tables of their own.

    Parameters
    ----------
    record
        The record.
    run_id
        Id of its run in this database.
    """
    row = {name: getattr(record, name) for name in _QUANTUM_COLUMNS}
    return row | {"run_id": run_id, "data_id": json.dumps(dict(record.data_id))}


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
