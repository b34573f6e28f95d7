"""SQLAlchemy over a source: connections and transactions."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from lsstpipe.errors import RepositoryError, TemporaryError
from lsstpipe.registry.address import Address
from lsstpipe.registry.source import CONNECTION_LIFE_S, MAX_CONNECTIONS, Source

Taken = TypeVar("Taken", sa.Connection, PoolProxiedConnection)

_BEGIN, _MADE = "lsstpipe_begin", "lsstpipe_made"

IN_CHUNK = 5000
"""Ids in one ``IN (...)``: databases allow about 32,000 parameters in a statement."""


class Database(Source):
    """An engine whose transactions say whether they write; it has the only connections.

    Parameters
    ----------
    url
        As for `Source`.
    """

    def __init__(self, url: str | Address) -> None:
        super().__init__(url)
        self._errors = (DBAPIError, self.driver.Error, PoolTimeoutError)
        self.engine = _make_engine(self)
        self._kept: deque[tuple[float, Any, PoolProxiedConnection]] = deque()
        self._waiting: deque[None] = deque()

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Lend a connection of the driver; one that met an error is not used again.

        One is kept for the next call until SQLAlchemy wants a connection: to take one out of its
        pool and to put it back takes as long as a statement.
        """
        made, connection, lent = self._take_out()
        try:
            yield connection
        except BaseException:
            lent.invalidate()
            lent.close()
            raise
        self._kept.append((made, connection, lent))
        # Looked for after it is kept: who waits for the pool puts it back, or is seen here.
        if self._waiting or len(self._kept) > 1:
            self._put_back()

    def _take_out(self) -> tuple[float, Any, PoolProxiedConnection]:
        """Give a connection with the time when it was opened and what the pool knows it by."""
        kept = None
        with suppress(IndexError):  # another thread may be faster
            kept = self._kept.pop()
        if kept is not None:
            made, _, lent = kept
            if not self.is_server or time.monotonic() < made + CONNECTION_LIFE_S:
                return kept
            lent.invalidate()
            lent.close()
        lent = self._take_from_pool(self.engine.raw_connection)
        made = lent.info[_MADE]
        return made, lent.driver_connection, lent

    def _put_back(self) -> None:
        """Give the pool the connection that is kept; two, if two threads kept one at once."""
        with suppress(IndexError):
            while True:
                self._kept.pop()[-1].close()

    def _connect(self) -> sa.Connection:
        """Take a connection for SQLAlchemy."""
        return self._take_from_pool(self.engine.connect)

    def _take_from_pool(self, take: Callable[[], Taken]) -> Taken:
        """Take a connection, for which nobody else keeps one from the pool."""
        self._waiting.append(None)
        try:
            self._put_back()
            return take()
        finally:
            self._waiting.pop()

    def prepare(self) -> None:
        """Make the folder of a new database in a file, and let readers and a writer share it."""
        if not self.address.is_file:
            return
        try:
            Path(self.name).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RepositoryError(
                f"The registry {self.name} cannot be made: {error.strerror}."
            ) from error
        # SQLite does not wait for another process that does the same in this moment.
        self.repeat(self._share, is_impatient=True)

    def _share(self) -> None:
        with self.explained("written"), self._connect() as connection:
            outside = connection.execution_options(**{_BEGIN: None})
            outside.exec_driver_sql("PRAGMA journal_mode = WAL")

    @contextmanager
    def closed_on_error(self) -> Iterator[None]:
        """Leave no connection open, nor a file beside the database, if it cannot be used."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Run statements that see one state of the database; on a server, each its newest."""
        with self.each() if self.is_server else self._transaction("BEGIN", "read") as connection:
            yield connection

    @contextmanager
    def write(self, *, dry_run: bool = False) -> Iterator[sa.Connection]:
        """Run statements that all take effect, or none; none in a dry run, refused or not."""
        # A writer of SQLite takes the lock at once: a reader that turns writer would fail without
        # waiting.
        begin = "BEGIN" if self.is_server else "BEGIN IMMEDIATE"
        with self._transaction(begin, "written") as connection:
            yield connection
            if dry_run:
                connection.rollback()

    @contextmanager
    def each(self) -> Iterator[sa.Connection]:
        """Run statements of which each takes effect by itself, without BEGIN and COMMIT."""
        with self.explained("used"), self._connect() as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str, verb: str) -> Iterator[sa.Connection]:
        with (
            self.explained(verb),
            self._connect().execution_options(**{_BEGIN: begin}) as connection,
            connection.begin(),
        ):
            yield connection

    def _explain(self, error: Exception, verb: str) -> Exception | None:
        if isinstance(error, PoolTimeoutError):
            return TemporaryError(f"The registry {self.name} has no connection free.")
        return super()._explain(error, verb)

    def close(self) -> None:
        """Give the connections back."""
        self._put_back()
        self.engine.dispose()


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


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """Begin an INSERT that may have an ON CONFLICT clause.

    Parameters
    ----------
    connection
        Says which database it is for.
    table
        Where to insert.
    """
    # The module of a database is loaded already where it is needed; the other does without it.
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


def replace_known(statement: Any, table: sa.Table) -> sa.Executable:
    """Let an INSERT replace the row of the same primary key.

    Parameters
    ----------
    statement
        Of `insert`.
    table
        Where it inserts.
    """
    keys = [column.name for column in table.primary_key]
    values = {c.name: statement.excluded[c.name] for c in table.c if c.name not in keys}
    result: sa.Executable = statement.on_conflict_do_update(index_elements=keys, set_=values)
    return result


def upsert(connection: sa.Connection, table: sa.Table) -> sa.Executable:
    """Make an INSERT that replaces the row of the same primary key.

    Parameters
    ----------
    connection
        Says which database it is for.
    table
        Where to insert.
    """
    return replace_known(insert(connection, table), table)


def insert_new(connection: sa.Connection, table: sa.Table) -> sa.Executable:
    """Make an INSERT that leaves rows alone that are there.

    Parameters
    ----------
    connection
        Says which database it is for.
    table
        Where to insert.
    """
    result: sa.Executable = insert(connection, table).on_conflict_do_nothing()
    return result


def _make_engine(source: Source) -> sa.Engine:
    """Make an engine of few connections, which the driver opens and `Database` begins."""
    address = source.address
    options: dict[str, Any] = {"creator": source.driver.connect}
    if address.is_server:
        # A lost connection is noticed when it is used: the call is repeated on a new one.
        options |= {"pool_size": MAX_CONNECTIONS, "max_overflow": 0}
        options |= {"pool_recycle": CONNECTION_LIFE_S, "isolation_level": "AUTOCOMMIT"}
    elif not address.is_file:
        options["poolclass"] = sa.StaticPool
    # It chooses the dialect, and is what messages show.
    url = sa.URL.create(address.backend, host=address.host or None, database=address.database)
    engine = sa.create_engine(url, **options)
    sa.event.listen(engine, "connect", _note_time)
    if address.is_server:
        sa.event.listen(engine, "begin", _begin_on_server)
        sa.event.listen(engine, "commit", _commit_on_server)
        sa.event.listen(engine, "rollback", _roll_back_on_server)
    else:
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _note_time(_connection: Any, record: Any) -> None:
    """Note when a connection was opened: it ages in the pool as well."""
    record.info[_MADE] = time.monotonic()


def _begin_sqlite(connection: sa.Connection) -> None:
    begin = connection.get_execution_options().get(_BEGIN, "BEGIN")
    if begin is not None:
        connection.exec_driver_sql(begin)


# A connection to a server is in the driver's autocommit mode: a single statement needs no more, and
# leaving the mode and coming back to it would cost requests of their own.


def _begin_on_server(connection: sa.Connection) -> None:
    if _BEGIN in connection.get_execution_options():
        connection.exec_driver_sql(connection.get_execution_options()[_BEGIN])


def _commit_on_server(connection: sa.Connection) -> None:
    if _BEGIN in connection.get_execution_options():
        connection.exec_driver_sql("COMMIT")


def _roll_back_on_server(connection: sa.Connection) -> None:
    if _BEGIN in connection.get_execution_options():
        connection.exec_driver_sql("ROLLBACK")
