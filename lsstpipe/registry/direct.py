"""What is asked of a registry thousands of times a second: one statement each, by the driver alone.

A process that opens a repository, finds and puts does without SQLAlchemy, which takes longer to
import than all of that together, and as long to run a statement as the database.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import cache
from typing import Any
from weakref import WeakSet

from lsstpipe.data_model import DataId, DatasetType, make_ref
from lsstpipe.datasets import find_dataset_type
from lsstpipe.errors import RepositoryError, UserError
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.schema import (
    DATASET_COLUMNS,
    SCHEMA_VERSION,
    pack_checksum,
    unpack_checksum,
)
from lsstpipe.registry.source import Source

_PLAN = "lsstpipe_put"
_NO_PLAN, _PLANNED_ALREADY = "26000", "42P05"
"""SQLSTATEs of a plan that the server does not have, or has already: a pooler between us and it
gives each statement another of its connections."""

_GIVEN = tuple(name for name in DATASET_COLUMNS if name != "run_id")
_NO_VALUES: dict[str, Any] = dict.fromkeys(_GIVEN)


class OtherCollectionError(Exception):
    """A collection that is searched is no run: it takes more than one statement."""


class Direct:
    """The few statements that are run most often.

    Parameters
    ----------
    source
        The database.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._is_server = source.is_server
        self._type_ids: dict[str, int] = {}
        self._planned: WeakSet[Any] = WeakSet()

    def is_current(self) -> bool:
        """Tell whether there is a registry of the schema that this code knows."""
        try:
            rows = self._read("SELECT version FROM schema_version", ())
        except (RepositoryError, self.source.driver.Error):
            return False
        return bool(rows) and rows[0][0] == SCHEMA_VERSION

    def find(
        self, kind: DatasetType, data_id: DataId, names: Sequence[str]
    ) -> DatasetRecord | None:
        """Find the first dataset of a type and data ID.

        Parameters
        ----------
        kind
            Its type.
        data_id
            At least the dimensions of the type.
        names
            Runs to search, in this order.

        Raises
        ------
        OtherCollectionError
            If one of them is no run, or is not there.
        """
        if not names:
            return None
        refs = {name: make_ref(kind, data_id, name) for name in names}
        ids = [self._encode_id(ref.id) for ref in refs.values()]
        statement = _spell_find(len(refs), is_server=self._is_server)
        rows = {row[0]: row[1:] for row in self._read(statement, (*ids, *refs))}
        if len(rows) < len(refs) or any(row[0] != "RUN" for row in rows.values()):
            raise OtherCollectionError
        for name, ref in refs.items():
            _, size, checksum, path, quantum_id = rows[name]
            if size is not None:
                # An id says run, type and data ID, so these need not be read.
                return DatasetRecord(
                    ref.id, kind.name, ref.data_id, name, ref.path if path is None else path,
                    size, unpack_checksum(bytes(checksum)), _decode_id(quantum_id),
                )  # fmt: skip
        return None

    def put(self, record: DatasetRecord) -> bool:
        """Register one dataset in a run that is there and open; one of the same id is replaced.

        Parameters
        ----------
        record
            The dataset.

        Returns
        -------
        bool
            Whether it was done; not where the run is not there or is frozen, or the database does
            not know its type.
        """
        type_id = self._type_ids.get(record.dataset_type)
        if type_id is None:
            self._type_ids = self._read_types()
            type_id = self._type_ids.get(record.dataset_type)
            if type_id is None:
                return False
        values = self._encode(record, type_id)
        return self.source.repeat(lambda: self._write(values)) == 1

    def _read(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a statement that reads."""

        def run() -> list[tuple[Any, ...]]:
            with self.source.explained("read"), self.source.connection() as connection:
                cursor = connection.cursor()
                cursor.execute(statement, values)
                rows: list[tuple[Any, ...]] = cursor.fetchall()
                cursor.close()
                return rows

        return self.source.repeat(run)

    def _read_types(self) -> dict[str, int]:
        """Read the ids of the dataset types that the database knows as this code does."""
        known = {}
        for id_, name, dimensions in self._read(
            "SELECT id, name, dimensions FROM dataset_type", ()
        ):
            try:
                own = find_dataset_type(name).dimensions
            except UserError:  # of another version of lsstpipe
                continue
            if dimensions == ",".join(own):
                known[name] = id_
        return known

    def _write(self, values: Sequence[Any]) -> int:
        """Put a row; give how many there were to put, which is 0 if its run is not open."""
        source = self.source
        with source.explained("written"), source.connection() as connection:
            cursor = connection.cursor()
            if not (self._is_server and self._is_planned(connection, cursor, values)):
                cursor.execute(_spell_put(is_server=self._is_server), values)
            n_rows = int(cursor.rowcount)
            cursor.close()
            return n_rows

    def _is_planned(self, connection: Any, cursor: Any, values: Sequence[Any]) -> bool:
        """Put a row by a plan that the server keeps for the connection, half of the work saved."""
        try:
            if connection not in self._planned:
                cursor.execute(_spell_plan())
                self._planned.add(connection)
            cursor.execute(_spell_call(), values)
        except self.source.driver.Error as error:
            if getattr(error, "pgcode", None) not in {_NO_PLAN, _PLANNED_ALREADY}:
                raise
            return False
        return True

    def _encode(self, record: DatasetRecord, type_id: int) -> list[Any]:
        """Make the values of a row, its run last."""
        own = find_dataset_type(record.dataset_type).path(record.data_id, record.run)
        checksum = pack_checksum(record.checksum)
        quantum_id = record.quantum_id
        row = {
            **_NO_VALUES,
            **dict(record.data_id.items()),
            "id": self._encode_id(record.id),
            "quantum_id": None if quantum_id is None else self._encode_id(quantum_id),
            "size": record.size,
            "type_id": type_id,
            "checksum": f"\\x{checksum.hex()}" if self._is_server else checksum,
            "path": None if record.path == own else record.path,
        }
        return [*row.values(), record.run]

    def _encode_id(self, value: uuid.UUID) -> str | bytes:
        return str(value) if self._is_server else value.bytes


def _decode_id(value: uuid.UUID | str | bytes | None) -> uuid.UUID | None:
    """Make an id of what a driver gives: that of PostgreSQL text, or what SQLAlchemy told it."""
    if isinstance(value, bytes):
        return uuid.UUID(bytes=value)
    return uuid.UUID(value) if isinstance(value, str) else value


@cache
def _spell_find(n_runs: int, *, is_server: bool) -> str:
    """Spell how datasets are found by ids and runs; of a run without any, its kind only."""
    # The primary key finds an id in any number of runs.
    marks = ", ".join(["%s" if is_server else "?"] * n_runs)
    return (
        "SELECT c.name, c.kind, d.size, d.checksum, d.path, d.quantum_id FROM collection AS c "
        f"LEFT JOIN dataset AS d ON d.run_id = c.id AND d.id IN ({marks}) WHERE c.name IN ({marks})"
    )


@cache
def _spell_put(*, is_server: bool) -> str:
    """Spell how a row is put into a run that is open."""
    if is_server:
        return _insert([f"CAST(%s AS {DATASET_COLUMNS[n]})" for n in _GIVEN], "%s", " FOR SHARE")
    return _insert(["?"] * len(_GIVEN), "?", "")


@cache
def _spell_plan() -> str:
    """Spell how a server is told to plan it."""
    types = [*(DATASET_COLUMNS[name] for name in _GIVEN), "varchar"]
    marks = [f"${n}" for n in range(1, len(types) + 1)]
    statement = _insert(marks[:-1], marks[-1], " FOR SHARE")
    return f"PREPARE {_PLAN} ({', '.join(types)}) AS {statement}"


@cache
def _spell_call() -> str:
    """Spell how the plan is called."""
    return f"EXECUTE {_PLAN} ({', '.join(['%s'] * (len(_GIVEN) + 1))})"


def _insert(values: Sequence[str], run: str, lock: str) -> str:
    """Spell the statement; a lock keeps others from freezing the run in between."""
    replaced = ", ".join(f"{n} = excluded.{n}" for n in DATASET_COLUMNS if n != "id")
    return (
        f"INSERT INTO dataset ({', '.join(_GIVEN)}, run_id) SELECT {', '.join(values)}, c.id FROM "
        "(SELECT id FROM collection "
        f"WHERE name = {run} AND kind = 'RUN' AND NOT is_frozen{lock}) AS c "
        f"WHERE true ON CONFLICT (id) DO UPDATE SET {replaced}"
    )
