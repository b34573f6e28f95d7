"""Load what jobs did: many quanta and datasets in one transaction, as often as you like."""

from __future__ import annotations

import uuid
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import sqlalchemy as sa

from lsstpipe.errors import ConflictError
from lsstpipe.registry import collections
from lsstpipe.registry.collections import Collection
from lsstpipe.registry.database import IN_CHUNK, upsert
from lsstpipe.registry.records import DatasetRecord, QuantumRecord
from lsstpipe.registry.rows import from_dataset, from_quantum
from lsstpipe.registry.tables import dataset, quantum, quantum_input, quantum_output


def load(
    connection: sa.Connection,
    type_ids: Mapping[str, int],
    datasets: Sequence[DatasetRecord],
    quanta: Sequence[QuantumRecord],
) -> None:
    """Make the registry say what these records say.

    A record of an id that is there replaces it: runs that are open take retries and changed
    configurations. The datasets of a quantum come with it: what an earlier attempt made and this
    one did not is forgotten. The number of statements is constant for each `IN_CHUNK` records.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    type_ids
        Ids of the dataset types in this database.
    datasets, quanta
        What exists and how it was made; of two with one id the last counts.

    Raises
    ------
    ConflictError
        If a record differs from what a frozen run has.
    """
    new_datasets = {record.id: record for record in datasets}
    new_quanta = {record.id: record for record in quanta}
    names = {r.run for r in new_datasets.values()} | {r.run for r in new_quanta.values()}
    runs = collections.ensure(connection, names, "RUN")
    _drop_frozen(connection, runs, new_datasets, new_quanta)
    if new_quanta:
        _load_quanta(connection, runs, new_quanta.values())
        _forget_stale(connection, new_quanta, new_datasets)
    if new_datasets:
        rows = [
            from_dataset(record, type_ids[record.dataset_type], runs[record.run].id)
            for record in new_datasets.values()
        ]
        connection.execute(upsert(connection, dataset), rows)


def _drop_frozen(
    connection: sa.Connection,
    runs: Mapping[str, Collection],
    datasets: dict[uuid.UUID, DatasetRecord],
    quanta: dict[uuid.UUID, QuantumRecord],
) -> None:
    """Refuse what differs from a frozen run, and drop the rest of its records: they are there."""
    frozen = {name for name, run in runs.items() if run.is_frozen}
    if not frozen:
        return
    records = [record for record in datasets.values() if record.run in frozen]
    known: dict[uuid.UUID, str] = {}
    for ids in chunks(record.id for record in records):
        rows = connection.execute(
            sa.select(dataset.c.id, dataset.c.checksum).where(dataset.c.id.in_(ids))
        )
        known |= {row.id: row.checksum for row in rows}
    for record in records:
        if known.get(record.id) != record.checksum:
            raise ConflictError(
                f"Run '{record.run}' is frozen, so {record.dataset_type} of {record.data_id} "
                f"cannot be {'replaced' if record.id in known else 'added'}."
            )
        del datasets[record.id]
    for item in [record for record in quanta.values() if record.run in frozen]:
        del quanta[item.id]


def _load_quanta(
    connection: sa.Connection, runs: Mapping[str, Collection], quanta: Iterable[QuantumRecord]
) -> None:
    rows = [from_quantum(record, runs[record.run].id) for record in quanta]
    connection.execute(upsert(connection, quantum), rows)
    for table, side in ((quantum_input, "inputs"), (quantum_output, "outputs")):
        for ids in chunks(record.id for record in quanta):
            connection.execute(sa.delete(table).where(table.c.quantum_id.in_(ids)))
        links = [
            {"quantum_id": record.id, "dataset_id": item}
            for record in quanta
            for item in dict.fromkeys(getattr(record, side))
        ]
        if links:
            connection.execute(sa.insert(table), links)


def _forget_stale(
    connection: sa.Connection,
    quanta: Iterable[uuid.UUID],
    datasets: Container[uuid.UUID],
) -> None:
    """Delete the datasets that these quanta made before and not this time."""
    stale: list[uuid.UUID] = []
    for ids in chunks(quanta):
        rows = connection.execute(sa.select(dataset.c.id).where(dataset.c.quantum_id.in_(ids)))
        stale += [row.id for row in rows if row.id not in datasets]
    for ids in chunks(stale):
        connection.execute(sa.delete(dataset).where(dataset.c.id.in_(ids)))


def chunks(ids: Iterable[uuid.UUID]) -> Iterator[list[uuid.UUID]]:
    """Cut ids into lists that a database takes as the parameters of one statement.

    Parameters
    ----------
    ids
        Any number of ids.
    """
    remaining = iter(ids)
    while part := list(islice(remaining, IN_CHUNK)):
        yield part
