"""Take out of the registry what is no longer wanted: datasets, whole runs, ends of validity."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import sqlalchemy as sa

from lsstpipe.errors import ConflictError, RepositoryError
from lsstpipe.registry import collections, exposures
from lsstpipe.registry.database import chunks
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.rows import read_datasets, select_datasets, to_dataset
from lsstpipe.registry.tables import (
    calibration,
    collection,
    collection_chain,
    collection_member,
    dataset,
    dataset_type,
    exposure,
    quantum,
    quantum_input,
    quantum_output,
)


def prune(
    connection: sa.Connection, dataset_ids: Sequence[uuid.UUID], *, is_held_too: bool
) -> list[DatasetRecord]:
    """Delete datasets; the quanta that made them stay, as a record of what was done.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    dataset_ids
        Datasets that exist.
    is_held_too
        Whether datasets go that a tag or a calibration collection holds; they leave it.

    Returns
    -------
    list of DatasetRecord
        What was deleted, so that its files can be.

    Raises
    ------
    RepositoryError
        If one does not exist.
    ConflictError
        If one belongs to a frozen run, is held, or is the raw of an exposure.
    """
    records = read_datasets(connection, dataset_ids)
    if missing := [item for item in dataset_ids if item not in records]:
        raise RepositoryError(f"There is no dataset {missing[0]} to remove.")
    for run in collections.ensure(connection, {r.run for r in records.values()}, "RUN").values():
        collections.refuse_frozen(run)
    if not is_held_too:
        _refuse_held(connection, records)
    for ids in chunks(records):
        exposures.hand_over(connection, sa.select(dataset.c.id).where(dataset.c.id.in_(ids)))
        for table in (collection_member, calibration):
            connection.execute(sa.delete(table).where(table.c.dataset_id.in_(ids)))
        connection.execute(sa.delete(dataset).where(dataset.c.id.in_(ids)))
    return [records[item] for item in dict.fromkeys(dataset_ids)]


def _refuse_held(connection: sa.Connection, records: dict[uuid.UUID, DatasetRecord]) -> None:
    """Refuse to delete what a collection holds or an exposure is made of."""
    for ids in chunks(records):
        for table in (collection_member, calibration):
            found = connection.execute(
                sa.select(table.c.dataset_id, collection.c.name)
                .join(collection, collection.c.id == table.c.collection_id)
                .where(table.c.dataset_id.in_(ids))
            ).first()
            if found is not None:
                raise ConflictError(
                    f"{records[found.dataset_id].path} is held by the collection '{found.name}', "
                    "so it cannot be removed; take it out of there first."
                )
        raw = connection.execute(
            sa.select(exposure.c.raw_id)
            .join(dataset, dataset.c.id == exposure.c.raw_id)
            .join(dataset_type, dataset_type.c.id == dataset.c.type_id)
            .where(exposure.c.raw_id.in_(ids), dataset_type.c.name == exposures.RAW)
        ).first()
        if raw is not None:
            raise ConflictError(
                f"{records[raw.raw_id].path} is a raw frame, so it is removed with its run only."
            )


def remove_run(connection: sa.Connection, name: str) -> list[DatasetRecord]:
    """Delete a run with its datasets and quanta.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    name
        Name of the run.

    Returns
    -------
    list of DatasetRecord
        What was deleted, so that its files can be.

    Raises
    ------
    RepositoryError
        If there is no such run.
    ConflictError
        If it is frozen, a chain has it, or a collection holds one of its datasets.
    """
    found = {item.name: item for item in collections.list_all(connection)}
    if name not in found or found[name].kind != "RUN":
        raise RepositoryError(f"There is no run '{name}'.")
    run = found[name]
    collections.lock(connection, run)
    collections.refuse_frozen(run)
    chain = connection.execute(
        sa.select(collection.c.name)
        .join(collection_chain, collection_chain.c.parent_id == collection.c.id)
        .where(collection_chain.c.child_id == run.id)
    ).first()
    if chain is not None:
        raise ConflictError(
            f"Run '{name}' is in the chain '{chain.name}', so it cannot be removed; "
            "take it out of there first."
        )
    rows = connection.execute(select_datasets().where(dataset.c.run_id == run.id)).mappings()
    records = [to_dataset(row) for row in rows]
    _refuse_held_run(connection, run.id, name)
    own = sa.select(dataset.c.id).where(dataset.c.run_id == run.id)
    exposures.hand_over(connection, own)
    connection.execute(sa.delete(dataset).where(dataset.c.run_id == run.id))
    made = sa.select(quantum.c.id).where(quantum.c.run_id == run.id)
    for table in (quantum_input, quantum_output):
        connection.execute(sa.delete(table).where(table.c.quantum_id.in_(made)))
    connection.execute(sa.delete(quantum).where(quantum.c.run_id == run.id))
    connection.execute(sa.delete(collection).where(collection.c.id == run.id))
    return records


def _refuse_held_run(connection: sa.Connection, run_id: int, name: str) -> None:
    """Refuse to delete a run of which another collection holds a dataset."""
    for table in (collection_member, calibration):
        found = connection.execute(
            sa.select(collection.c.name)
            .join(table, table.c.collection_id == collection.c.id)
            .join(dataset, dataset.c.id == table.c.dataset_id)
            .where(dataset.c.run_id == run_id)
        ).first()
        if found is not None:
            raise ConflictError(
                f"Datasets of run '{name}' are held by the collection '{found.name}', so it cannot "
                "be removed; take them out of there first."
            )


def release(connection: sa.Connection, name: str, dataset_ids: Sequence[uuid.UUID]) -> int:
    """Take datasets out of a tagged or a calibration collection; they stay in their runs.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    name
        Name of the collection.
    dataset_ids
        Datasets; those that it does not hold are passed over.

    Returns
    -------
    int
        How many were taken out.

    Raises
    ------
    RepositoryError
        If there is no such collection, or it is of another kind.
    """
    found = {item.name: item for item in collections.list_all(connection)}
    if name not in found:
        raise RepositoryError(f"There is no collection '{name}'.")
    kind = found[name].kind
    if kind not in {"TAGGED", "CALIBRATION"}:
        raise RepositoryError(
            f"'{name}' is {kind}; datasets are taken out of TAGGED and CALIBRATION only."
        )
    table = collection_member if kind == "TAGGED" else calibration
    n_released = 0
    for ids in chunks(dataset_ids):
        statement = sa.delete(table).where(
            table.c.collection_id == found[name].id, table.c.dataset_id.in_(ids)
        )
        n_released += connection.execute(statement).rowcount
    return n_released
