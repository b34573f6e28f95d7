"""Where a registry is kept: URLs such as ``sqlite:///FILE`` and ``postgresql://USER@HOST/DATABASE``.

They are SQLAlchemy's, read here because its package takes longer to import than to open a registry
and find a dataset in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from lsstpipe.errors import RepositoryError

_SECRETS = {
    "password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key",
}  # fmt: skip
"""Parameters of libpq that let a user in."""

_FORM = re.compile(
    r"(?P<backend>\w+)(?:\+\w+)?://"
    r"(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?:\[(?P<host6>[^/\]]+)\]|(?P<host>[^/:?@]*))(?::(?P<port>\d+))?"
    r"(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a registry is kept.

    Attributes
    ----------
    backend
        ``sqlite`` or ``postgresql``.
    database
        A file, empty for one in memory; or the name of a database of a server.
    user, password, host, port
        Of a server; empty or None where the driver knows them.
    query
        Parameters of the connection.
    """

    backend: str
    database: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    host: str = ""
    port: int | None = None
    query: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_server(self) -> bool:
        """Whether it is a database of a server."""
        return self.backend != "sqlite"

    @property
    def is_file(self) -> bool:
        """Whether it is a file."""
        return not self.is_server and self.database not in {"", ":memory:"}

    @property
    def name(self) -> str:
        """What messages call it; never its password."""
        if self.is_server:
            return f"{self.database} on {self.host or 'this machine'}"
        return self.database or "in memory"

    @property
    def has_password(self) -> bool:
        """Whether it lets in who reads it: by a password, or a parameter that is as good as one."""
        return bool(self.password) or any(name.lower() in _SECRETS for name in self.query)

    @property
    def is_present(self) -> bool:
        """Whether there is a database to open; one on a server always counts as there."""
        return self.is_server or (self.is_file and Path(self.database).is_file())


def require_present(address: Address) -> None:
    """Refuse a registry that is not there.

    Parameters
    ----------
    address
        Where it should be.

    Raises
    ------
    RepositoryError
        If it is not.
    """
    if not address.is_present:
        raise RepositoryError(
            f"There is no repository at {address.name}; `lsstpipe init` makes one."
        )


def refuse_password(address: Address) -> None:
    """Refuse an address that lets in who reads it, where others may.

    Parameters
    ----------
    address
        The address.

    Raises
    ------
    RepositoryError
        If it has a password.
    """
    if address.has_password:
        raise RepositoryError(
            "A password in the registry's URL would lie open; leave it out and give it by "
            "PGPASSWORD or ~/.pgpass, or use auth=iam or auth=secret."
        )


def parse_address(url: str | Address) -> Address:
    """Read a URL.

    Parameters
    ----------
    url
        As the module describes; an address stays as it is.

    Raises
    ------
    RepositoryError
        If it is none, or of a database that cannot be a registry.
    """
    if isinstance(url, Address):
        return url
    match = _FORM.fullmatch(url)
    if match is None:
        raise RepositoryError(
            "The registry's URL cannot be read; allowed are sqlite:///FILE and "
            "postgresql://USER@HOST/DATABASE."
        )
    backend = match["backend"]
    if backend not in {"sqlite", "postgresql"}:
        raise RepositoryError(
            f"A registry cannot be kept by '{backend}'; allowed are sqlite and postgresql."
        )
    return Address(
        backend,
        match["database"] or "",
        unquote(match["user"] or ""),
        unquote(match["password"] or ""),
        match["host6"] or match["host"] or "",
        int(match["port"]) if match["port"] else None,
        _parse_query(match["query"] or ""),
    )


def _parse_query(text: str) -> Mapping[str, str]:
    query: dict[str, str] = {}
    for name, value in parse_qsl(text):
        if name in query:
            raise RepositoryError(f"The registry's URL has '{name}' more than once.")
        query[name] = value
    return query
