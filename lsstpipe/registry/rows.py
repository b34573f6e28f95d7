"""Records to rows of the registry and back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

import sqlalchemy as sa
from sqlalchemy import RowMapping

from lsstpipe.data_model import DIMENSIONS, DataId, tabulate
from lsstpipe.datasets import find_dataset_type
from lsstpipe.registry.database import chunks
from lsstpipe.registry.records import DatasetRecord, QuantumRecord
from lsstpipe.registry.schema import DATASET_COLUMNS
from lsstpipe.registry.tables import collection, dataset, dataset_type, quantum

Row = dict[str, Any]

_QUANTUM_COLUMNS = tuple(c.name for c in quantum.c if c.name not in {"run_id", "data_id"})


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


def dataset_values(
    records: Iterable[DatasetRecord], type_ids: Mapping[str, int], run_ids: Mapping[str, int]
) -> Iterator[tuple[Any, ...]]:
    """Make the values of many records, in the order of the columns of ``dataset``.

    Parameters
    ----------
    records
        The records; they come out by type and run.
    type_ids, run_ids
        Ids of types and runs in this database.
    """
    # What those of one type and run have in common is worked out once.
    groups: dict[tuple[str, str, tuple[str, ...]], list[DatasetRecord]] = {}
    for record in records:
        key = (record.dataset_type, record.run, record.data_id.names)
        groups.setdefault(key, []).append(record)
    for (name, run, dimensions), group in groups.items():
        values = tabulate([record.data_id for record in group], dimensions)
        known: dict[str, Iterable[Any]] = {
            **dict(zip(dimensions, values, strict=True)),
            "id": [record.id for record in group],
            "quantum_id": [record.quantum_id for record in group],
            "size": [record.size for record in group],
            "run_id": repeat(run_ids[run], len(group)),
            "type_id": repeat(type_ids[name], len(group)),
            "checksum": [record.checksum for record in group],
            "path": _spell_paths(group),
        }
        nothing = (None,) * len(group)
        yield from zip(*(known.get(column, nothing) for column in DATASET_COLUMNS), strict=True)


def _spell_paths(group: Sequence[DatasetRecord]) -> list[str | None]:
    """Give the paths of datasets of one type and run, None where it is the one that it spells."""
    kind = find_dataset_type(group[0].dataset_type)
    own = [name for name in DIMENSIONS if name in kind.dimensions]
    values = tabulate([record.data_id for record in group], own)
    paths = kind.paths(values, group[0].run, len(group))
    return [
        None if record.path == path else record.path
        for record, path in zip(group, paths, strict=True)
    ]


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
