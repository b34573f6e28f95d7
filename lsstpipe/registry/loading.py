"""Load what jobs did: many quanta and datasets in one transaction, as often as you like.

Manifests stay when what they name is pruned, and a collector may be slow: what it has read may be
older than what another one has loaded. So a quantum counts only if it started after the one that
the registry has.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from lsstpipe.errors import ConflictError
from lsstpipe.registry import collections, exposures
from lsstpipe.registry.collections import Collection
from lsstpipe.registry.database import chunks, insert, replace_known
from lsstpipe.registry.records import DatasetRecord, QuantumRecord
from lsstpipe.registry.rows import dataset_values, quantum_values
from lsstpipe.registry.staging import (
    Values,
    analyze_staged,
    fill,
    insert_all,
    new_dataset,
    new_quantum,
    new_quantum_input,
    new_quantum_output,
)
from lsstpipe.registry.tables import dataset, quantum, quantum_input, quantum_output

_SHOWN_CONFLICTS = 20
_ANALYZE_SHARE = 0.1
_LOAD_LOCK = 5_727_782  # any number that stands for this lock among those of a server
_ANALYZED = ("dataset", "quantum", "quantum_input", "quantum_output", "exposure")


def load(
    connection: sa.Connection,
    type_ids: Mapping[str, int],
    datasets: Sequence[DatasetRecord],
    quanta: Sequence[QuantumRecord],
) -> None:
    """Make the registry say what these records say.

    A record of an id that is there replaces it: runs that are open take retries and changed
    configurations. The datasets of a quantum come with it: what an earlier attempt made and this
    one did not is forgotten. A quantum that is there as it is, or that started later, stays, and so
    do its datasets: what was pruned does not come back. The number of statements is constant.

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
    run_ids = {name: run.id for name, run in runs.items()}
    n_quanta, is_known = len(new_quanta), False
    if new_quanta:
        rows_of_quanta = quantum_values(iter(new_quanta.values()), run_ids)
        fill(connection, {new_quantum: rows_of_quanta}, lock=_lock_loading(run_ids))
        is_known = _drop_known(connection, new_datasets, new_quanta)
    _drop_frozen(connection, runs, new_datasets, new_quanta)
    if not new_datasets and not new_quanta:
        return
    staged: dict[sa.Table, Iterable[Values]]
    staged = {new_dataset: dataset_values(new_datasets.values(), type_ids, run_ids)}
    if not new_quanta:
        fill(connection, staged)
    else:
        staged |= _stage_links(list(new_quanta.values()))
        if len(new_quanta) < n_quanta:
            staged[new_quantum] = quantum_values(iter(new_quanta.values()), run_ids)
        fill(connection, staged)
        analyze_staged(connection, dict.fromkeys([new_quantum, *staged]))
        if is_known:
            _forget_earlier(connection)
        _load_quanta(connection)
    columns, rows = insert_all(new_dataset, dataset)
    statement = insert(connection, dataset).from_select(columns, rows)
    connection.execute(replace_known(statement, dataset))


def ingest(
    connection: sa.Connection, type_ids: Mapping[str, int], records: Sequence[DatasetRecord]
) -> int:
    """Register datasets that nobody computed here; those that are there with other bytes stay.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    type_ids
        Ids of the dataset types in this database.
    records
        The datasets.

    Returns
    -------
    int
        Number of datasets that were not there.

    Raises
    ------
    ConflictError
        If a run is frozen, or an id is there, or comes twice, with another checksum: each is named.
    """
    unique: dict[int, DatasetRecord] = {}
    for record in records:
        known = unique.setdefault(record.id.int, record)  # a UUID takes longer to look up
        if known.checksum != record.checksum:
            raise ConflictError(_contradiction([(record, known.path)]))
    runs = collections.ensure(connection, {record.run for record in records}, "RUN")
    run_ids = {name: run.id for name, run in runs.items()}
    fill(connection, {new_dataset: dataset_values(unique.values(), type_ids, run_ids)})
    columns, rows = insert_all(new_dataset, dataset)
    statement = insert(connection, dataset).from_select(columns, rows)
    added = connection.execute(statement.on_conflict_do_nothing(index_elements=["id"])).rowcount
    if added < len(unique):
        _refuse_other_content(connection, unique)
    if added:
        for run in runs.values():
            collections.refuse_frozen(run)
    return added


def _refuse_other_content(connection: sa.Connection, given: Mapping[int, DatasetRecord]) -> None:
    """Refuse records that say of an id that is there that it has other bytes."""
    analyze_staged(connection, [new_dataset])
    rows = connection.execute(
        sa.select(dataset.c.id, dataset.c.path)
        .join(new_dataset, new_dataset.c.id == dataset.c.id)
        .where(new_dataset.c.checksum != dataset.c.checksum)
        .order_by(dataset.c.id)
    ).all()
    if rows:
        found = [(given[row.id.int], row.path or given[row.id.int].path) for row in rows]
        raise ConflictError(_contradiction(found))


def _contradiction(found: Sequence[tuple[DatasetRecord, str]]) -> str:
    lines = [
        f"{record.path} and {path} both say that they are {record.dataset_type} of "
        f"{record.data_id} in '{record.run}', but their contents differ"
        for record, path in found[:_SHOWN_CONFLICTS]
    ]
    rest = len(found) - len(lines)
    return "; ".join(lines) + (f"; and {rest} more." if rest else "; leave one of them out.")


def _lock_loading(run_ids: Mapping[str, int]) -> str:
    """Spell what makes a transaction the only one that loads quanta of runs until it ends.

    Two that load one quantum for the first time would each find that the registry has none, and the
    last to write would win.
    """
    # In one order, so that none waits for the other in a circle.
    wanted = ", ".join(map(str, sorted(run_ids.values())))
    return f"SELECT pg_advisory_xact_lock({_LOAD_LOCK}, id) FROM unnest(ARRAY[{wanted}]) AS id"


def _drop_known(
    connection: sa.Connection,
    datasets: dict[uuid.UUID, DatasetRecord],
    quanta: dict[uuid.UUID, QuantumRecord],
) -> bool:
    """Drop staged quanta that the registry has as they are or newer, with what they made.

    Returns
    -------
    bool
        Whether it has others of them, which are older.
    """
    # Asked for one by one: a join would need the figures of an ANALYZE to be quick.
    known = sa.select(quantum.c.started_mjd).where(quantum.c.id == new_quantum.c.id)
    staged = sa.select(new_quantum.c.id, known.scalar_subquery().label("mjd")).subquery()
    rows = connection.execute(sa.select(staged).where(staged.c.mjd.is_not(None))).all()
    kept = {key for key, mjd in rows if mjd >= quanta[key].started_mjd}
    for key in kept:
        del quanta[key]
    for item in [r.id for r in datasets.values() if kept and r.quantum_id in kept]:
        del datasets[item]
    return len(kept) < len(rows)


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


def _stage_links(quanta: Sequence[QuantumRecord]) -> dict[sa.Table, Iterable[Values]]:
    """Make the rows of what quanta read and wrote."""
    return {
        new_quantum_input: ([q.id, item] for q in quanta for item in dict.fromkeys(q.inputs)),
        new_quantum_output: ([q.id, item] for q in quanta for item in dict.fromkeys(q.outputs)),
    }


def _forget_earlier(connection: sa.Connection) -> None:
    """Delete what the staged quanta read, wrote and made before; not what they made again."""
    named = sa.select(new_quantum.c.id)
    for table in (quantum_input, quantum_output):
        connection.execute(sa.delete(table).where(table.c.quantum_id.in_(named)))
    made_again = sa.select(new_dataset.c.id).where(new_dataset.c.id == dataset.c.id).exists()
    is_stale = sa.and_(dataset.c.quantum_id.in_(named), sa.not_(made_again))
    exposures.hand_over(connection, sa.select(dataset.c.id).where(is_stale))
    connection.execute(sa.delete(dataset).where(is_stale))


def _load_quanta(connection: sa.Connection) -> None:
    """Take the staged quanta over, with what they read and wrote."""
    columns, rows = insert_all(new_quantum, quantum)
    statement = insert(connection, quantum).from_select(columns, rows)
    connection.execute(replace_known(statement, quantum))
    for staged, table in (
        (new_quantum_input, quantum_input),
        (new_quantum_output, quantum_output),
    ):
        columns, rows = insert_all(staged, table)
        links = insert(connection, table).from_select(columns, rows)
        connection.execute(links.on_conflict_do_nothing())


def analyze(connection: sa.Connection, n_new: int) -> None:
    """Renew the figures that the planner of the database goes by, if they have become wrong.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    n_new
        Rows that were loaded.
    """
    if connection.dialect.name == "postgresql":
        known = connection.exec_driver_sql(
            "SELECT reltuples FROM pg_class WHERE oid = 'dataset'::regclass"
        ).scalar_one()
        if n_new > _ANALYZE_SHARE * max(known, 0):
            connection.exec_driver_sql("ANALYZE " + ", ".join(_ANALYZED))
    else:
        connection.exec_driver_sql("PRAGMA analysis_limit = 1000")
        connection.exec_driver_sql("ANALYZE")
