"""Rows on their way into the registry: temporary tables that take any number at once.

PostgreSQL takes them by COPY, SQLite by one prepared statement; from there on both databases run
the same statements, whose number does not depend on the number of rows.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, repeat
from typing import Any

import sqlalchemy as sa

from lsstpipe.registry.schema import pack_checksums
from lsstpipe.registry.tables import (
    Checksum,
    Uuid,
    dataset,
    quantum,
    quantum_input,
    quantum_output,
)

Values = Sequence[Any]

_ROWS_AT_A_TIME = 2000
_NULL = "\\N"

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


def fill(
    connection: sa.Connection, content: Mapping[sa.Table, Iterable[Values]], *, lock: str = ""
) -> None:
    """Put rows into temporary tables, which are made or emptied first.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    content
        Rows by table, which is one of this module's: values in the order of its columns. They are
        taken one by one.
    lock
        A statement that a server runs first, by the same request; a writer of SQLite is alone.
    """
    made = [sa.schema.CreateTable(table, if_not_exists=True) for table in content]
    if connection.dialect.name == "postgresql":
        names = ", ".join(table.name for table in content)
        spelled = [str(statement.compile(dialect=connection.dialect)) for statement in made]
        request = [*filter(None, [lock]), *spelled, f"TRUNCATE {names}"]
        connection.exec_driver_sql("; ".join(request))
        for table, rows in content.items():
            _copy(connection, table, rows)
        return
    for statement in made:
        connection.execute(statement)
    for table, rows in content.items():
        connection.exec_driver_sql(f"DELETE FROM {table.name}")
        _insert_many(connection, table, rows)


def analyze_staged(connection: sa.Connection, tables: Iterable[sa.Table]) -> None:
    """Count temporary tables before they are joined to others.

    Without figures the planner of PostgreSQL takes a table of a few rows for one of thousands, and
    reads all of the table that it is joined to.

    Parameters
    ----------
    connection
        Within the transaction that filled them.
    tables
        Those that were filled.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"ANALYZE {', '.join(table.name for table in tables)}")


def _copy(connection: sa.Connection, table: sa.Table, rows: Iterable[Values]) -> None:
    names = ", ".join(column.name for column in table.c)
    with _driver_connection(connection).cursor() as cursor:
        cursor.copy_expert(f"COPY {table.name} ({names}) FROM STDIN", _CopyText(table, rows))


def _insert_many(connection: sa.Connection, table: sa.Table, rows: Iterable[Values]) -> None:
    names = ", ".join(column.name for column in table.c)
    marks = ", ".join("?" * len(table.c))
    statement = f"INSERT INTO {table.name} ({names}) VALUES ({marks})"
    driver = _driver_connection(connection)
    for columns in _transposed(rows):
        encoded = [_for_sqlite(c.type, v) for c, v in zip(table.c, columns, strict=True)]
        driver.executemany(statement, zip(*encoded, strict=True))


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
        form = "\t".join(["%s"] * len(table.c)) + "\n"
        self._parts: Iterator[str] = (
            "".join([form % row for row in zip(*_for_copy(table, columns), strict=True)])
            for columns in _transposed(rows)
        )

    def read(self, _size: int | None = -1) -> str:
        """Give the lines of some thousands of rows; nothing at the end."""
        return next(self._parts, "")


def _transposed(rows: Iterable[Values]) -> Iterator[list[tuple[Any, ...]]]:
    """Give the columns of some thousands of rows at a time: encoded one by one, as a whole."""
    remaining = iter(rows)
    while part := list(islice(remaining, _ROWS_AT_A_TIME)):
        yield list(zip(*part, strict=True))


def _for_copy(table: sa.Table, columns: Sequence[Values]) -> Iterator[Iterable[object]]:
    """Make the values of columns as COPY reads them, or what ``%s`` makes that of."""
    for column, values in zip(table.c, columns, strict=True):
        n_nulls = values.count(None)
        if n_nulls == len(values):
            yield repeat(_NULL, n_nulls)
            continue
        given = [v for v in values if v is not None] if n_nulls else values
        written = _written(column.type, given)
        if n_nulls:
            rest = iter(written)
            written = [_NULL if v is None else next(rest) for v in values]
        yield written


_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _written(kind: sa.types.TypeEngine[Any], values: Values) -> Iterable[object]:
    """Write values that are no nulls for COPY."""
    if isinstance(kind, Uuid):
        return [f"{value.int:032x}" for value in values]
    if isinstance(kind, Checksum):
        return [f"\\\\x{digits}" for digits in pack_checksums(values)]
    if isinstance(kind, sa.String) and _SPECIAL.search(" ".join(set(values))):
        return [value.translate(_ESCAPES) for value in values]
    return values


def _for_sqlite(kind: sa.types.TypeEngine[Any], values: Values) -> Values:
    """Make the values of a column as SQLite stores them."""
    if isinstance(kind, Uuid):
        return [None if value is None else value.bytes for value in values]
    if isinstance(kind, Checksum):
        return [bytes.fromhex(digits) for digits in pack_checksums(values)]
    return values
