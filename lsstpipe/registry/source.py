"""Connections of a database's own driver, and what their failures mean to the user."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from lsstpipe.errors import RepositoryError, TemporaryError
from lsstpipe.registry.address import Address, parse_address

PATIENCE_S = 120.0
"""For how long a call to a server is repeated that failed for a temporary reason, seconds."""

MAX_CONNECTIONS = 2
"""Connections that one process has open to a server."""

CONNECTION_LIFE_S = 900.0
"""Age from which a connection is not used again, seconds: what lies between may have dropped it."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0

Result = TypeVar("Result")


class Driver(Protocol):
    """What is needed of a driver for one database."""

    @property
    def Error(self) -> type[Exception]:  # noqa: N802 - as drivers call it
        """The base of its errors."""

    @property
    def OperationalError(self) -> type[Exception]:  # noqa: N802
        """Its errors that are no fault of a statement."""

    def connect(self) -> Any:
        """Open a connection, on which each statement takes effect by itself."""

    def is_temporary(self, error: BaseException | None) -> bool:
        """Tell whether a call that ended in an error may succeed when it is repeated."""


class Source:
    """A database, reached by its driver.

    Parameters
    ----------
    url
        As in `lsstpipe.registry.address`; what one of PostgreSQL may say besides is in
        `lsstpipe.registry.postgres`.
    """

    def __init__(self, url: str | Address) -> None:
        self.address = parse_address(url)
        self.driver = _choose_driver(self.address)
        self._errors: tuple[type[Exception], ...] = (self.driver.Error,)
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._idle: list[tuple[float, Any]] = []

    @property
    def is_server(self) -> bool:
        """Whether it is on a server, which may fail for a while."""
        return self.address.is_server

    @property
    def name(self) -> str:
        """What messages call it; never its password."""
        return self.address.name

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Lend a connection of the driver; one that met an error is not used again."""
        with self._free:
            made, connection = self._take()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._idle.append((made, connection))

    def _take(self) -> tuple[float, Any]:
        """Give a connection with the time when it was opened."""
        while self._idle:
            made, connection = self._idle.pop()
            if time.monotonic() < made + CONNECTION_LIFE_S:
                return made, connection
            connection.close()
        return time.monotonic(), self.driver.connect()

    def repeat(self, call: Callable[[], Result], *, is_impatient: bool = False) -> Result:
        """Make a call until it meets no temporary failure, or patience ends.

        SQLite has waited already when it says that it is locked, so there the call is made once.

        Parameters
        ----------
        call
            Transactions that may be made twice.
        is_impatient
            Whether it is one that fails on SQLite without having waited.

        Raises
        ------
        TemporaryError
            If the last try failed too.
        """
        pause, ends = _FIRST_PAUSE_S, time.monotonic() + PATIENCE_S
        while True:
            try:
                return call()
            except TemporaryError:
                if not (self.is_server or is_impatient) or time.monotonic() > ends:
                    raise
                # Each waits for a time of its own, so that many do not come back at once.
                time.sleep(random.uniform(0.5, 1.0) * pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    @contextmanager
    def explained(self, verb: str) -> Iterator[None]:
        """Turn what a database complains of into errors that say whose turn it is.

        Parameters
        ----------
        verb
            What was not done, such as ``read``.
        """
        try:
            yield
        except self._errors as error:
            if (explanation := self._explain(error, verb)) is None:
                raise
            raise explanation from error

    def _explain(self, error: Exception, verb: str) -> Exception | None:
        """Say whose turn it is after an error; None where it is a fault of this code."""
        cause = getattr(error, "orig", error)  # SQLAlchemy's carry the driver's
        text = (str(cause).strip().splitlines() or [type(cause).__name__])[0].rstrip(".")
        if "root certificate file" in text:
            text += "; PGSSLROOTCERT names the file with the certificates to trust"
        if "authentication failed" in text and self.address.query.get("auth") == "iam":
            text += (
                "; a token of AWS holds for 15 minutes by the clock of this machine, for the user "
                "of the URL, whom the role of this machine must be allowed to be"
            )
        if self.driver.is_temporary(cause):
            return TemporaryError(f"The registry {self.name} is not free: {text}.")
        if "could not translate host name" in text:
            text += "; the URL of the registry must name a host that this machine can find"
        if "not a database" in text or "malformed" in text:
            return RepositoryError(f"{self.name} is damaged or not a registry.")
        if isinstance(cause, self.driver.OperationalError):
            return RepositoryError(f"The registry {self.name} cannot be {verb}: {text}.")
        return None

    def close(self) -> None:
        """Give the connections back."""
        while self._idle:
            self._idle.pop()[1].close()


def _choose_driver(address: Address) -> Driver:
    # Each brings a package that the other does without.
    if address.is_server:
        from lsstpipe.registry.postgres import PostgresDriver

        return PostgresDriver(address)
    from lsstpipe.registry.sqlite import SqliteDriver

    return SqliteDriver(address)
