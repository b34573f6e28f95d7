"""Let quanta run again that did not end well, and leave everything else as it is.

The record of a quantum that is to run again loses its key: then it stands for nothing. Its chunk
goes back to the lines of a job that was stopped (`lsstpipe.execute.manifest`), so the workflow runs
it again; the quanta whose records have a key are not made anew.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lsstpipe.data_model import DIMENSIONS
from lsstpipe.datastore import Datastore
from lsstpipe.execute.manifest import (
    QuantumEntry,
    open_journal,
    partial_path,
    read_manifest,
    read_partial,
)
from lsstpipe.plan.layout import manifest_path, pilot_path
from lsstpipe.plan.pilots import read_pilots
from lsstpipe.plan.read import Plan, read_chunk
from lsstpipe.registry.query import Condition, parse_where
from lsstpipe.registry.records import QuantumRecord

LOST = "lost"
"""Status of a quantum that is done but has lost a product."""

_BAD = frozenset({"failed", "flagged", LOST})

_METADATA = sa.MetaData()
_QUANTA = sa.Table(
    "quanta",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    *(sa.Column(name, sa.String) for name in ("task", "chunk", "status", "message")),
    *(
        sa.Column(name, sa.Integer if kind is int else sa.String)
        for name, kind in DIMENSIONS.items()
    ),
)


@dataclass(frozen=True, slots=True)
class Retry:
    """A quantum that is to run again, and how it ended before."""

    record: QuantumRecord
    status: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        record = self.record
        return {
            "id": str(record.id), "task": record.task, "chunk": record.chunk,
            "data_id": dict(record.data_id), "status": self.status, "message": record.message,
        }  # fmt: skip


def find_retries(
    plan: Plan, repo: Path, stage: str, where: str, *, is_done_too: bool = False
) -> list[Retry]:
    """Find quanta of a stage that ended and are to run again.

    Parameters
    ----------
    plan
        The plan.
    repo
        Where its manifests are.
    stage
        The stage.
    where
        Condition over dimensions, ``task``, ``chunk``, ``status`` and ``message``
        (`lsstpipe.registry.query`); empty for all.
    is_done_too
        Whether those are meant too that ended well and have their products.

    Raises
    ------
    UserError
        If the condition cannot be read.
    """
    columns = {name: column for name, column in _QUANTA.columns.items() if name != "number"}
    condition = parse_where(where, columns)
    store = Datastore(repo)
    found = [
        Retry(entry.record, _status(entry, store))
        for chunk in plan.chunks.get(stage, {})
        for entry in _entries(plan, repo, stage, chunk)
    ]
    matching = _match(found, condition)
    return [item for item in matching if is_done_too or item.status in _BAD]


def _entries(plan: Plan, repo: Path, stage: str, chunk: str) -> Sequence[QuantumEntry]:
    """Read how the quanta of a chunk ended, as far as it has run."""
    path = manifest_path(repo, stage, chunk)
    is_partial = partial_path(path).exists()
    lines = read_partial(path, plan.campaign.run, stage, chunk) if is_partial else []
    return _newest(path, lines)


def _newest(path: Path, lines: Sequence[QuantumEntry]) -> list[QuantumEntry]:
    """Put the lines of a job that was stopped over what a manifest, if there is one, has."""
    earlier = read_manifest(path).quanta if path.exists() else ()
    return list({entry.record.id: entry for entry in (*earlier, *lines)}.values())


def _status(entry: QuantumEntry, store: Datastore) -> str:
    """Tell how a quantum ended, or that it has lost a product since."""
    is_whole = all(store.size(file.path) == file.size for file in entry.files)
    return entry.record.status if is_whole else LOST


def _match(found: Sequence[Retry], condition: Condition) -> list[Retry]:
    """Choose quanta by a condition, in the language of queries: by a database in memory."""
    if not found:
        return []
    rows = [
        {**dict.fromkeys(DIMENSIONS), **item.record.data_id}
        | {"task": item.record.task, "chunk": item.record.chunk, "message": item.record.message}
        | {"status": item.status, "number": number}
        for number, item in enumerate(found)
    ]
    engine = sa.create_engine("sqlite://")
    try:
        _METADATA.create_all(engine)
        with engine.begin() as connection:
            connection.execute(sa.insert(_QUANTA), rows)
            query = sa.select(_QUANTA.c.number).where(condition).order_by(_QUANTA.c.number)
            return [found[number] for number in connection.execute(query).scalars()]
    finally:
        engine.dispose()


def reopen(plan: Plan, repo: Path, stage: str, retries: Sequence[Retry]) -> None:
    """Let quanta, and those of their chunks that take from them, run again at the next start.

    Parameters
    ----------
    plan
        The plan.
    repo
        Where its manifests are.
    stage
        The stage.
    retries
        Which quanta.
    """
    chunks: dict[str, set[uuid.UUID]] = {}
    for item in retries:
        chunks.setdefault(item.record.chunk, set()).add(item.record.id)
    pilots = read_pilots(plan.folder / "chunks.tsv", plan.folder / "campaign.json", stage).of_chunk
    for chunk, ids in chunks.items():
        again = _with_takers(plan, stage, chunk, ids)
        path = manifest_path(repo, stage, chunk)
        with open_journal(path) as journal:
            for entry in _newest(path, journal.read(plan.campaign.run, stage, chunk)):
                journal.append(replace(entry, key="") if entry.record.id in again else entry)
            # The lines have all of it; without a manifest the workflow runs the chunk.
            path.unlink(missing_ok=True)
        if pilot := pilots.get(chunk):
            pilot_path(repo, stage, pilot).unlink(missing_ok=True)


def _with_takers(plan: Plan, stage: str, chunk: str, ids: Set[uuid.UUID]) -> set[uuid.UUID]:
    """Add the quanta of a chunk that take what others of them make."""
    again: set[uuid.UUID] = set()
    made: set[uuid.UUID] = set()
    for quantum in read_chunk(plan, stage, chunk).quanta:
        if quantum.id in ids or made & set(quantum.inputs):
            again.add(quantum.id)
            made |= set(quantum.outputs)
    return again
