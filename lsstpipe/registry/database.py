"""Connections and transactions, and what their failures mean to the user."""

from __future__ import annotations

import logging
import os
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from lsstpipe.errors import RepositoryError, TemporaryError

_LOG = logging.getLogger(__name__)
_LOCK_WAIT_S = 120
_BEGIN = "lsstpipe_begin"
_SQLITE_TEMPORARY = ("locked", "busy")

PATIENCE_S = 120.0
"""For how long a call to a server is repeated that failed for a temporary reason, seconds."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0

IN_CHUNK = 5000
"""Ids in one ``IN (...)``: databases allow about 32,000 parameters in a statement."""

Result = TypeVar("Result")


class Database:
    """An engine whose transactions say whether they write.

    Parameters
    ----------
    url
        An SQLAlchemy URL; ``sqlite://`` is a database in memory. What one of PostgreSQL may say is
        in `lsstpipe.registry.postgres`.
    """

    def __init__(self, url: str | sa.URL) -> None:
        self.url = parse_url(url)
        self.is_server = self.url.get_backend_name() != "sqlite"
        if self.is_server:
            # SQLite does without the module and its package.
            from lsstpipe.registry import postgres

            self.engine = postgres.make_engine(self.url)
            self._is_temporary: Callable[[BaseException | None], bool] = postgres.is_temporary
            sa.event.listen(self.engine, "begin", _begin_on_server)
            sa.event.listen(self.engine, "commit", _commit_on_server)
            sa.event.listen(self.engine, "rollback", _roll_back_on_server)
        else:
            self.engine = _sqlite_engine(self.url)
            self._is_temporary = _is_busy
        self._driver: Any = self.engine.dialect.dbapi

    @property
    def name(self) -> str:
        """What messages call the database; never its password."""
        if self.is_server:
            return f"{self.url.database} on {self.url.host or 'this machine'}"
        return self.url.database or "in memory"

    @property
    def is_present(self) -> bool:
        """Whether there is a database to open; one on a server always counts as there."""
        if self.is_server:
            return True
        return _is_sqlite_file(self.url) and Path(str(self.url.database)).is_file()

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
        """Run statements that see one state of the database; on a server, each its newest."""
        with self.each() if self.is_server else self._transaction("BEGIN", "read") as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Run statements that all take effect, or none."""
        # A writer of SQLite takes the lock at once: a reader that turns writer would fail without
        # waiting.
        begin = "BEGIN" if self.is_server else "BEGIN IMMEDIATE"
        with self._transaction(begin, "written") as connection:
            yield connection

    @contextmanager
    def each(self) -> Iterator[sa.Connection]:
        """Run statements of which each takes effect by itself, without BEGIN and COMMIT."""
        with self._explained("used"), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str, verb: str) -> Iterator[sa.Connection]:
        with (
            self._explained(verb),
            self.engine.connect().execution_options(**{_BEGIN: begin}) as connection,
            connection.begin(),
        ):
            yield connection

    def repeat(self, call: Callable[[], Result]) -> Result:
        """Make a call until it meets no temporary failure, or patience ends.

        SQLite has waited already when it says that it is locked, so there the call is made once.

        Parameters
        ----------
        call
            Transactions that may be made twice.

        Raises
        ------
        TemporaryError
            If the last try failed too.
        """
        pause, ends = _FIRST_PAUSE_S, time.monotonic() + PATIENCE_S
        while True:
            try:
                return call()
            except TemporaryError as error:
                if not self.is_server or time.monotonic() > ends:
                    raise
                # Each waits for a time of its own, so that many do not come back at once.
                wait = random.uniform(0.5, 1.0) * pause
                _LOG.debug("%s Trying again in %.2f s.", error, wait)
                time.sleep(wait)
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Turn what a database complains of into errors that say whose turn it is."""
        try:
            yield
        except PoolTimeoutError as error:
            raise TemporaryError(f"The registry {self.name} has no connection free.") from error
        except (DBAPIError, self._driver.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            text = (str(cause).strip().splitlines() or [type(cause).__name__])[0].rstrip(".")
            if "root certificate file" in text:
                text += "; PGSSLROOTCERT names the file with the certificates to trust"
            if self._is_temporary(cause):
                raise TemporaryError(f"The registry {self.name} is not free: {text}.") from error
            if "not a database" in text or "malformed" in text:
                raise RepositoryError(f"{self.name} is damaged or not a registry.") from error
            if isinstance(cause, self._driver.OperationalError):
                raise RepositoryError(
                    f"The registry {self.name} cannot be {verb}: {text}."
                ) from error
            raise

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


def parse_url(url: str | sa.URL) -> sa.URL:
    """Read a URL.

    Parameters
    ----------
    url
        An SQLAlchemy URL.

    Raises
    ------
    RepositoryError
        If it is none, or of a database that cannot be a registry.
    """
    try:
        parsed = sa.make_url(url)
        backend = parsed.get_backend_name()
    except sa.exc.ArgumentError:
        raise RepositoryError(
            "The registry's URL cannot be read; allowed are sqlite:///FILE and "
            "postgresql://USER@HOST/DATABASE."
        ) from None
    if backend not in {"sqlite", "postgresql"}:
        raise RepositoryError(
            f"A registry cannot be kept by '{backend}'; allowed are sqlite and postgresql."
        )
    return parsed


def _is_busy(error: BaseException | None) -> bool:
    return any(sign in str(error) for sign in _SQLITE_TEMPORARY)


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


def insert(where: sa.Connection | str, table: sa.Table) -> Any:
    """Begin an INSERT that may have an ON CONFLICT clause.

    Parameters
    ----------
    where
        A connection, or the name of a dialect: says which database it is for.
    table
        Where to insert.
    """
    name = where if isinstance(where, str) else where.dialect.name
    # The module of a database is loaded already where it is needed; the other does without it.
    if name == "postgresql":
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
