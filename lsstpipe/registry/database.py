"""Connections and transactions, and what their failures mean to the user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError, OperationalError

from lsstpipe.errors import RepositoryError, TemporaryError

_LOCK_WAIT_S = 120
_BEGIN = "lsstpipe_begin"
_TEMPORARY_SIGNS = ("locked", "busy", "connection", "deadlock", "serialize", "timeout")

IN_CHUNK = 5000
"""Ids in one ``IN (...)``: databases allow about 32,000 parameters in a statement."""


class Database:
    """An engine whose transactions say whether they write.

    Parameters
    ----------
    url
        An SQLAlchemy URL; ``sqlite://`` is a database in memory.
    """

    def __init__(self, url: str | sa.URL) -> None:
        self.url = sa.make_url(url)
        if self.url.get_backend_name() == "sqlite":
            self.engine = _sqlite_engine(self.url)
        else:
            self.engine = sa.create_engine(self.url, pool_size=2, max_overflow=0)

    @property
    def name(self) -> str:
        """What messages call the database; never its password."""
        return self.url.database or self.url.render_as_string(hide_password=True)

    @property
    def is_present(self) -> bool:
        """Whether there is a database to open; one on a server always counts as there."""
        if self.url.get_backend_name() != "sqlite":
            return True
        return _is_sqlite_file(self.url) and Path(self.name).is_file()

    def prepare(self) -> None:
        """Make the folder of a new database in a file, and let readers and a writer share it."""
        if not _is_sqlite_file(self.url):
            return
        try:
            Path(self.name).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RepositoryError(
                f"The registry {self.name} cannot be made: {error.strerror}."
            ) from error
        with self._explained("written"), self.engine.connect() as connection:
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
        """Run statements that see one state of the database."""
        with self._transaction("BEGIN", "read") as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Run statements that all take effect, or none."""
        # A writer takes the lock at once: a reader that turns writer would fail without waiting.
        with self._transaction("BEGIN IMMEDIATE", "written") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str, verb: str) -> Iterator[sa.Connection]:
        with (
            self._explained(verb),
            self.engine.connect().execution_options(**{_BEGIN: begin}) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Turn what a database complains of into errors that say whose turn it is."""
        try:
            yield
        except OperationalError as error:
            text = str(error.orig).strip().splitlines()[0]
            if any(sign in text for sign in _TEMPORARY_SIGNS):
                raise TemporaryError(f"The registry {self.name} is not free: {text}.") from error
            raise RepositoryError(f"The registry {self.name} cannot be {verb}: {text}.") from error
        except DBAPIError as error:
            if "not a database" in str(error.orig) or "malformed" in str(error.orig):
                raise RepositoryError(f"{self.name} is damaged or not a registry.") from error
            raise

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """Begin an INSERT that may have an ON CONFLICT clause.

    Parameters
    ----------
    connection
        Says which database it is for.
    table
        Where to insert.
    """
    if connection.dialect.name == "postgresql":
        # Its module is large and loaded already where it is needed; SQLite does without it.
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    return sqlite.insert(table)


def upsert(connection: sa.Connection, table: sa.Table) -> sa.Executable:
    """Make an INSERT that replaces the row of the same primary key.

    Parameters
    ----------
    connection
        Says which database it is for.
    table
        Where to insert.
    """
    statement = insert(connection, table)
    keys = [column.name for column in table.primary_key]
    values = {c.name: statement.excluded[c.name] for c in table.c if c.name not in keys}
    result: sa.Executable = statement.on_conflict_do_update(index_elements=keys, set_=values)
    return result


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


def _is_sqlite_file(url: sa.URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database not in {None, "", ":memory:"}


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    if _is_sqlite_file(url):
        path = Path(str(url.database)).absolute()
        options: dict[str, Any] = {"connect_args": {"timeout": _LOCK_WAIT_S}}
        if path.is_file() and not os.access(path.parent, os.W_OK):
            # WAL needs files beside the database, which a read-only folder cannot have.
            query = {"immutable": "1", "mode": "ro", "uri": "true"}
            url = sa.URL.create("sqlite", database=f"file:{quote(str(path))}", query=query)
    else:
        options = {"poolclass": sa.StaticPool, "connect_args": {"check_same_thread": False}}
    engine = sa.create_engine(url, **options)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Python's sqlite3 would begin transactions by rules of its own; `_begin_sqlite` does it.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    begin = connection.get_execution_options().get(_BEGIN, "BEGIN")
    if begin is not None:
        connection.exec_driver_sql(begin)
