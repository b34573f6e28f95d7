"""Connections to a PostgreSQL server: TLS, passwords that live for minutes, what errors mean.

Beyond the parameters of libpq (``sslrootcert=/etc/rds-bundle.pem``) the URL of a registry on a
server, ``postgresql://user@host:5432/database``, takes:

``auth=iam``
    An authentication token of AWS for the user instead of a password, with ``region=...``.
``auth=secret``
    User and password from a secret of AWS Secrets Manager, named by ``secret=...``.

Without ``auth`` the password is in the URL, in ``PGPASSWORD`` or in ``~/.pgpass``, as for psql. A
server on another host must prove who it is (``sslmode=verify-full``) unless the URL says otherwise.
It is PostgreSQL 14 or later.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from lsstpipe.errors import LsstpipeError, RepositoryError, TemporaryError
from lsstpipe.registry.address import Address

Credentials = dict[str, str]

_OWN_PARAMETERS = ("auth", "region", "secret")
_LOCAL_HOSTS = {"", "localhost", "127.0.0.1", "::1"}
_TOKEN_LIFE_S = 10 * 60  # AWS lets a token open connections for 15 minutes
_SECRET_LIFE_S = 60 * 60

_LIBPQ: dict[str, str | int] = {
    "connect_timeout": 10,
    "application_name": "lsstpipe",
    # A server that has gone is noticed within a minute, not after the two hours of the kernel.
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    # A wait for another writer is bounded, and so is the time that a stopped process holds a lock.
    # Nor does a process that computes keep others from the few connections that a server has: it
    # loses its own, and has another when it asks again (PostgreSQL 14 and later).
    "options": "-c lock_timeout=60s -c idle_in_transaction_session_timeout=10min "
    "-c idle_session_timeout=60s",
}

TEMPORARY_STATES = ("08", "40001", "40P01", "53", "55P03", "57P", "25006")
"""SQLSTATEs, or their beginnings, after which the same call may succeed: connection lost,
serialisation failure, deadlock, no connection slot or memory left, lock not available, shutdown or
start of the server, a server that turned read-only because another one took over."""

_TEMPORARY_SIGNS = (
    "server closed the connection", "could not receive data", "could not send data",
    "connection refused", "connection reset", "timeout expired", "timed out", "eof detected",
    "connection already closed", "cursor already closed", "the database system is",
    "too many clients", "remaining connection slots", "no connection to the server",
    "temporary failure in name resolution", "network is unreachable", "no route to host",
    "server terminated abnormally",
)  # fmt: skip
# A host that is not there is not among them: it is mistyped, and comes by no waiting.

_BUSY = {"ThrottlingException", "Throttling", "InternalServiceError", "InternalFailure"}
_BUSY |= {"ServiceUnavailable", "ServiceUnavailableException", "RequestLimitExceeded"}
"""Codes of AWS after which the same request may succeed."""

_NO_HOST = ("name or service not known", "no address associated", "name does not resolve")
"""How a resolver says that a host does not exist."""


class PostgresDriver:
    """Connections to one database.

    Parameters
    ----------
    address
        Which, with parameters as the module describes.

    Raises
    ------
    RepositoryError
        If a parameter is not allowed, or the driver is not installed.
    """

    def __init__(self, address: Address) -> None:
        try:
            import psycopg2
            import psycopg2.extensions
        except ModuleNotFoundError as error:
            raise RepositoryError(
                f"A registry on PostgreSQL needs {error.name}: install lsstpipe[postgres]."
            ) from error
        self.Error: type[Exception] = psycopg2.Error
        self.OperationalError: type[Exception] = psycopg2.OperationalError
        self._connect: Callable[..., Any] = psycopg2.connect
        self.arguments = spell_arguments(address)
        try:
            psycopg2.extensions.make_dsn(**self.arguments)
        except psycopg2.ProgrammingError as error:
            text = str(error).strip().rstrip(".")
            raise RepositoryError(
                f"The URL of {address.name} says what PostgreSQL does not know: {text}."
            ) from None
        self._source = _credentials(address)

    def connect(self) -> Any:
        """Open a connection, on which each statement takes effect by itself unless it says BEGIN.

        A secret that was rotated is read once more.
        """
        if self._source is None:
            connection = self._connect(**self.arguments)
        else:
            try:
                connection = self._connect(**(self.arguments | self._source()))
            except self.OperationalError as error:
                if "authentication" not in str(error):
                    raise
                self._source.forget()
                connection = self._connect(**(self.arguments | self._source()))
        connection.autocommit = True
        return connection

    def is_temporary(self, error: BaseException | None) -> bool:
        """Tell whether a call that ended in an error may succeed when it is repeated.

        Parameters
        ----------
        error
            What the driver raised.
        """
        state = getattr(error, "pgcode", None)
        if state:
            return str(state).startswith(TEMPORARY_STATES)
        text = str(error).lower()
        return any(sign in text for sign in _TEMPORARY_SIGNS)


def spell_arguments(address: Address) -> dict[str, str | int]:
    """Spell what libpq is told: ours where the URL does not say otherwise.

    Parameters
    ----------
    address
        The database.
    """
    known = {
        "user": address.user,
        "password": address.password,
        "host": address.host,
        "port": address.port,
        "dbname": address.database,
    }
    arguments: dict[str, str | int] = _LIBPQ | {k: v for k, v in known.items() if v}
    if address.host not in _LOCAL_HOSTS:
        arguments["sslmode"] = "verify-full"
    return arguments | {k: v for k, v in address.query.items() if k not in _OWN_PARAMETERS}


class Renewed:
    """Credentials that are fetched anew before they expire.

    Parameters
    ----------
    fetch
        Gets them.
    life_s
        For how long they are used, seconds.
    clock
        A clock that never goes back; the date of the machine may.
    """

    def __init__(
        self,
        fetch: Callable[[], Credentials],
        life_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch, self._life_s, self._clock = fetch, life_s, clock
        self._value: Credentials = {}
        self._ends = -1.0
        self._lock = threading.Lock()

    def __call__(self) -> Credentials:
        """Give credentials that are valid now."""
        with self._lock:
            if self._clock() >= self._ends:
                self._value = self._fetch()
                self._ends = self._clock() + self._life_s
            return self._value

    def forget(self) -> None:
        """Fetch them anew when they are next wanted: the server refused these."""
        with self._lock:
            self._ends = -1.0


def _credentials(address: Address) -> Renewed | None:
    """Find where user and password come from; None where libpq finds them."""
    auth, region, secret = (address.query.get(name, "") for name in _OWN_PARAMETERS)
    if auth == "":
        return None
    if auth == "iam":
        return Renewed(lambda: _fetch_token(address, region), _TOKEN_LIFE_S)
    if auth == "secret":
        if not secret:
            raise RepositoryError("The registry's URL has auth=secret without secret=NAME.")
        return Renewed(lambda: _fetch_secret(secret, region), _SECRET_LIFE_S)
    raise RepositoryError(
        f"The registry's URL has auth={auth}; allowed are iam and secret, or no auth."
    )


def _fetch_token(address: Address, region: str) -> Credentials:
    """Make a token for the user of a URL: a signature made here, without a request."""
    with _explained("The token of AWS for the registry cannot be made"):
        client = _aws_client("rds", region)
        port = address.port or 5432
        token = client.generate_db_auth_token(address.host, port, address.user or None)
    return {"password": token}


def _fetch_secret(name: str, region: str) -> Credentials:
    """Read user and password from a secret in the form that RDS keeps."""
    failed = f"The secret '{name}' of the registry cannot be read"
    with _explained(failed):
        client = _aws_client("secretsmanager", region)
        text = client.get_secret_value(SecretId=name).get("SecretString")
    content = None
    with suppress(ValueError, TypeError):  # a secret of bytes has no text
        content = json.loads(text)
    own = content if isinstance(content, dict) else {}
    user, password = own.get("username"), own.get("password")
    if not (isinstance(user, str) and isinstance(password, str) and user and password):
        # What it says instead may be a password: it is not shown.
        raise RepositoryError(
            f"{failed}: it must be a JSON object with the texts 'username' and 'password', as RDS "
            "keeps them."
        )
    return {"user": user, "password": password}


def _aws_client(service: str, region: str) -> Any:
    # Only a registry on AWS needs the large package.
    import boto3

    return boto3.client(service, region_name=region or None)


@contextmanager
def _explained(failed: str) -> Iterator[None]:
    """Say whose turn it is after AWS, or its package, could not be used."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise RepositoryError(f"{failed} without {error.name}: install lsstpipe[aws].") from None
    except Exception as error:
        if (explanation := _explain(error, failed)) is None:
            raise
        # Without the cause: AWS may repeat there what it was given.
        raise explanation from None


def _explain(error: Exception, failed: str) -> LsstpipeError | None:
    """Say whose turn it is; None where it is a fault of this code."""
    import botocore.exceptions as aws

    if isinstance(error, aws.ClientError):
        code = str(error.response.get("Error", {}).get("Code", "no code"))
        if code in _BUSY:
            return TemporaryError(f"{failed} now: {code}.")
        return RepositoryError(
            f"{failed}: AWS answers {code}; the name, the region and what the role of this machine "
            "is allowed must be right."
        )
    if isinstance(error, aws.NoRegionError):
        return RepositoryError(
            f"{failed}: no region is known; give region=us-west-2, say, in the URL of the "
            "registry, or set AWS_DEFAULT_REGION."
        )
    if isinstance(error, aws.NoCredentialsError | aws.PartialCredentialsError):
        return RepositoryError(
            f"{failed}: there are no credentials of AWS; set AWS_PROFILE or use a machine with a "
            "role."
        )
    # One of a service in a region that does not exist has no address either.
    is_lost = isinstance(error, aws.HTTPClientError | aws.ConnectionError) and not isinstance(
        error, aws.SSLError
    )
    if is_lost and not any(sign in str(getattr(error, "kwargs", "")).lower() for sign in _NO_HOST):
        return TemporaryError(f"{failed} now: {type(error).__name__}.")
    if isinstance(error, aws.BotoCoreError | ValueError):
        # Only of these is it known that they repeat nothing but a name.
        is_plain = isinstance(error, aws.ProfileNotFound | aws.InvalidRegionError)
        reason = str(error).rstrip(".") if is_plain else type(error).__name__
        return RepositoryError(
            f"{failed}: {reason}; the region and the settings of AWS must be right."
        )
    return None
