"""Where a dataset comes from, back to the raws, and what was made of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from lsstpipe.errors import RepositoryError
from lsstpipe.registry.database import insert
from lsstpipe.registry.records import DatasetRecord, QuantumRecord
from lsstpipe.registry.rows import read_datasets, select_datasets, to_dataset, to_quantum
from lsstpipe.registry.tables import (
    collection,
    dataset,
    document,
    quantum,
    quantum_input,
    quantum_output,
)


@dataclass(frozen=True, slots=True)
class Document:
    """A text that quanta refer to by its digest: a configuration, an environment."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """Everything that led to a dataset.

    Attributes
    ----------
    root
        Id of the dataset.
    datasets
        Those of the graph that are kept, by id; intermediates that were handed over in memory are
        named by quanta only.
    quanta
        Every quantum of the graph by id; its ``inputs`` and ``outputs`` are the edges.
    producers
        The quantum that made a dataset, by the dataset's id.
    documents
        Configurations and environments by digest.
    """

    root: uuid.UUID
    datasets: Mapping[uuid.UUID, DatasetRecord]
    quanta: Mapping[uuid.UUID, QuantumRecord]
    producers: Mapping[uuid.UUID, uuid.UUID]
    documents: Mapping[str, Document]

    def origins(self) -> list[DatasetRecord]:
        """Give the datasets that no quantum made, by path: the raws and what else was ingested."""
        made = self.producers
        found = [record for key, record in self.datasets.items() if key not in made]
        return sorted(found, key=lambda record: record.path)


def insert_documents(connection: sa.Connection, documents: Mapping[str, Document]) -> None:
    """Keep texts by their digests; those that are there stay.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    documents
        Texts by digest.
    """
    rows = [{"digest": d, "kind": doc.kind, "text": doc.text} for d, doc in documents.items()]
    if rows:
        # One statement of many rows: given as a list of rows each would be a statement of its own.
        statement = insert(connection, document).values(rows).on_conflict_do_nothing()
        connection.execute(statement)


def trace(connection: sa.Connection, dataset_id: uuid.UUID) -> Provenance:
    """Collect everything that led to a dataset, by a constant number of statements.

    Parameters
    ----------
    connection
        Within a transaction.
    dataset_id
        A dataset that is in the registry or was made by a quantum that is.

    Raises
    ------
    RepositoryError
        If there is neither.
    """
    lineage = (
        sa.select(quantum_output.c.quantum_id)
        .where(quantum_output.c.dataset_id == dataset_id)
        .cte("lineage", recursive=True)
    )
    lineage = lineage.union(
        sa.select(quantum_output.c.quantum_id)
        .select_from(lineage)
        .join(quantum_input, quantum_input.c.quantum_id == lineage.c.quantum_id)
        .join(quantum_output, quantum_output.c.dataset_id == quantum_input.c.dataset_id)
    )
    quantum_ids = sa.select(lineage.c.quantum_id)
    inputs = _links(connection, quantum_input, quantum_ids)
    outputs = _links(connection, quantum_output, quantum_ids)
    rows = connection.execute(
        sa.select(quantum, collection.c.name.label("run"))
        .join(collection, collection.c.id == quantum.c.run_id)
        .where(quantum.c.id.in_(quantum_ids))
        .order_by(quantum.c.started_mjd, quantum.c.id)
    ).mappings()
    quanta = {
        row["id"]: to_quantum(row, inputs.get(row["id"], []), outputs.get(row["id"], []))
        for row in rows
    }
    ids = {dataset_id}.union(*inputs.values(), *outputs.values())
    datasets = read_datasets(connection, sorted(ids))
    if dataset_id not in datasets and not quanta:
        raise _absent(dataset_id)
    producers = {item: key for key, made in outputs.items() for item in made}
    digests = {q.config_digest for q in quanta.values()} | {q.environment for q in quanta.values()}
    return Provenance(dataset_id, datasets, quanta, producers, _documents(connection, digests))


def find_downstream(connection: sa.Connection, dataset_id: uuid.UUID) -> list[DatasetRecord]:
    """Find what was made of a dataset, directly or through others, by path.

    Parameters
    ----------
    connection
        Within a transaction.
    dataset_id
        A dataset that is in the registry, or was an input or output of a quantum that is.

    Raises
    ------
    RepositoryError
        If there is neither.
    """
    made = (
        sa.select(quantum_output.c.dataset_id)
        .join(quantum_input, quantum_input.c.quantum_id == quantum_output.c.quantum_id)
        .where(quantum_input.c.dataset_id == dataset_id)
        .cte("made", recursive=True)
    )
    made = made.union(
        sa.select(quantum_output.c.dataset_id)
        .select_from(made)
        .join(quantum_input, quantum_input.c.dataset_id == made.c.dataset_id)
        .join(quantum_output, quantum_output.c.quantum_id == quantum_input.c.quantum_id)
    )
    rows = connection.execute(
        select_datasets().where(dataset.c.id.in_(sa.select(made.c.dataset_id)))
    ).mappings().all()  # fmt: skip
    if not rows and not _is_known(connection, dataset_id):
        raise _absent(dataset_id)
    return sorted((to_dataset(row) for row in rows), key=lambda record: record.path)


def _is_known(connection: sa.Connection, dataset_id: uuid.UUID) -> bool:
    """Tell whether there is a dataset or a quantum that had it, such as one in memory."""
    columns = (dataset.c.id, quantum_output.c.dataset_id, quantum_input.c.dataset_id)
    found = (sa.exists().where(column == dataset_id) for column in columns)
    return bool(connection.execute(sa.select(sa.or_(*found))).scalar())


def _absent(dataset_id: uuid.UUID) -> RepositoryError:
    return RepositoryError(f"There is no dataset {dataset_id}.")


def _links(
    connection: sa.Connection, table: sa.Table, quantum_ids: sa.Select[Any]
) -> dict[uuid.UUID, list[uuid.UUID]]:
    found: dict[uuid.UUID, list[uuid.UUID]] = {}
    statement = sa.select(table).where(table.c.quantum_id.in_(quantum_ids))
    for row in connection.execute(statement.order_by(table.c.quantum_id, table.c.dataset_id)):
        found.setdefault(row.quantum_id, []).append(row.dataset_id)
    return found


def _documents(connection: sa.Connection, digests: set[str]) -> dict[str, Document]:
    rows = connection.execute(sa.select(document).where(document.c.digest.in_(sorted(digests))))
    return {row.digest: Document(row.kind, row.text) for row in rows}
