"""Connections to a registry in a file."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from lsstpipe.registry.address import Address

_LOCK_WAIT_S = 120.0
_TEMPORARY = ("locked", "busy")


class SqliteDriver:
    """Connections to one database, in memory or in a file.

    Parameters
    ----------
    address
        Which.
    """

    Error = sqlite3.Error
    OperationalError = sqlite3.OperationalError

    def __init__(self, address: Address) -> None:
        self._address = address

    def connect(self) -> sqlite3.Connection:
        """Open a connection, on which each statement takes effect by itself unless it says BEGIN.

        Threads may share it one after the other.
        """
        where, is_uri = self._address.database or ":memory:", False
        if self._address.is_file:
            path = Path(where).absolute()
            where = str(path)
            if path.is_file() and not os.access(path.parent, os.W_OK):
                # WAL needs files beside the database, which a read-only folder cannot have.
                where, is_uri = f"file:{quote(where)}?immutable=1&mode=ro", True
        connection = sqlite3.connect(
            where,
            timeout=_LOCK_WAIT_S,
            # Python's sqlite3 would begin transactions by rules of its own.
            isolation_level=None,
            check_same_thread=False,
            uri=is_uri,
        )
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.close()
        return connection

    def is_temporary(self, error: BaseException | None) -> bool:
        """Tell whether a call that ended in an error may succeed when it is repeated.

        Parameters
        ----------
        error
            What the driver raised.
        """
        return any(sign in str(error) for sign in _TEMPORARY)
