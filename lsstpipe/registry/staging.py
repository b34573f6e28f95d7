"""Rows on their way into the registry: temporary tables that take any number at once.

PostgreSQL takes them by COPY, SQLite by one prepared statement; from there on both databases run
the same statements, whose number does not depend on the number of rows.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from lsstpipe.registry.tables import (
    Checksum,
    Uuid,
    dataset,
    pack_checksum,
    quantum,
    quantum_input,
    quantum_output,
)

Values = Sequence[Any]

_STAGED = sa.MetaData()


def _stage(table: sa.Table) -> sa.Table:
    """Describe the temporary table that takes the rows of a table."""
    return sa.Table(
        f"new_{table.name}",
        _STAGED,
        *(sa.Column(column.name, column.type) for column in table.c),
        prefixes=["TEMPORARY"],
    )


new_dataset = _stage(dataset)
new_quantum = _stage(quantum)
new_quantum_input = _stage(quantum_input)
new_quantum_output = _stage(quantum_output)


def fill(connection: sa.Connection, content: Mapping[sa.Table, Iterable[Values]]) -> None:
    """Put rows into temporary tables, which are made or emptied first.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    content
        Rows by table, which is one of this module's: values in the order of its columns. They are
        taken one by one.
    """
    for table in content:
        connection.execute(sa.schema.CreateTable(table, if_not_exists=True))
    if connection.dialect.name == "postgresql":
        names = ", ".join(table.name for table in content)
        connection.exec_driver_sql(f"TRUNCATE {names}")
        for table, rows in content.items():
            _copy(connection, table, rows)
        # Without figures the planner takes a table of a few rows for one of thousands, and reads
        # all of the table that it is joined to.
        connection.exec_driver_sql(f"ANALYZE {names}")
        return
    for table, rows in content.items():
        connection.exec_driver_sql(f"DELETE FROM {table.name}")
        _insert_many(connection, table, rows)


def _copy(connection: sa.Connection, table: sa.Table, rows: Iterable[Values]) -> None:
    names = ", ".join(column.name for column in table.c)
    with _driver_connection(connection).cursor() as cursor:
        cursor.copy_expert(f"COPY {table.name} ({names}) FROM STDIN", _CopyText(table, rows))


def _insert_many(connection: sa.Connection, table: sa.Table, rows: Iterable[Values]) -> None:
    names = ", ".join(column.name for column in table.c)
    encode = [_sqlite_encoder(column.type) for column in table.c]
    marks = ", ".join("?" * len(encode))
    _driver_connection(connection).executemany(
        f"INSERT INTO {table.name} ({names}) VALUES ({marks})",
        ([e(v) for e, v in zip(encode, row, strict=True)] for row in rows),
    )


def _driver_connection(connection: sa.Connection) -> Any:
    raw = connection.connection.driver_connection
    assert raw is not None
    return raw


def insert_all(source: sa.Table, target: sa.Table) -> tuple[list[str], sa.Select[Any]]:
    """Give what ``from_select`` needs to insert all staged rows, in the order of their ids.

    Writers that meet take the rows in one order, so that none waits for the other in a circle.

    Parameters
    ----------
    source
        A temporary table.
    target
        Where its rows go.
    """
    columns = [column.name for column in target.c]
    keys = [source.c[column.name] for column in target.primary_key]
    # SQLite takes an ON for that of a join unless there is a WHERE.
    return columns, sa.select(*(source.c[n] for n in columns)).where(sa.true()).order_by(*keys)


class _CopyText(io.TextIOBase):
    """Rows as the text of COPY, made as it is read."""

    def __init__(self, table: sa.Table, rows: Iterable[Values]) -> None:
        encode = [_copy_encoder(column.type) for column in table.c]
        self._lines: Iterator[str] = (
            "\t".join(e(v) for e, v in zip(encode, row, strict=True)) + "\n" for row in rows
        )

    def read(self, size: int | None = -1) -> str:
        """Give some lines, about as many characters as are asked for; nothing at the end."""
        parts: list[str] = []
        length, wanted = 0, float("inf") if size is None or size < 0 else size
        for line in self._lines:
            parts.append(line)
            length += len(line)
            if length >= wanted:
                break
        return "".join(parts)


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _copy_encoder(kind: sa.types.TypeEngine[Any]) -> Callable[[Any], str]:
    """Choose how values of a type are written for COPY."""

    def encode(value: Any) -> str:
        return "\\N" if value is None else write(value)

    write: Callable[[Any], str]
    if isinstance(kind, Checksum):
        write = _hex_of_checksum
    elif isinstance(kind, sa.String):
        write = _escaped
    else:
        write = str
    return encode


def _hex_of_checksum(value: str) -> str:
    return "\\\\x" + pack_checksum(value).hex()


def _escaped(value: str) -> str:
    return value.translate(_ESCAPES)


def _sqlite_encoder(kind: sa.types.TypeEngine[Any]) -> Callable[[Any], Any]:
    """Choose how values of a type are given to SQLite."""
    if isinstance(kind, Uuid):
        return _uuid_bytes
    if isinstance(kind, Checksum):
        return pack_checksum
    return _unchanged


def _uuid_bytes(value: uuid.UUID | None) -> bytes | None:
    return None if value is None else value.bytes


def _unchanged(value: Any) -> Any:
    return value
