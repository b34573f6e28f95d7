"""Versions of the schema: a step for each, forward only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sqlalchemy as sa

from lsstpipe.errors import RepositoryError
from lsstpipe.registry.tables import schema_version

SCHEMA_VERSION = 1
"""Version of the tables in `lsstpipe.registry.tables`."""

Step = Callable[[sa.Connection], None]

STEPS: Mapping[int, Step] = {}
"""From each version to the next: ``STEPS[1]`` turns 1 into 2."""


def read_version(connection: sa.Connection) -> int:
    """Read the version of the schema of a database.

    Raises
    ------
    RepositoryError
        If the database has no lsstpipe registry.
    """
    if not sa.inspect(connection).has_table(schema_version.name):
        raise RepositoryError(
            f"{connection.engine.url} has no lsstpipe registry; `lsstpipe init` makes one."
        )
    return int(connection.execute(sa.select(schema_version.c.version)).scalar_one())


def check_version(found: int, where: str, newest: int = SCHEMA_VERSION) -> None:
    """Refuse a schema that this code does not know.

    Parameters
    ----------
    found
        Version of the database.
    where
        What messages call it.
    newest
        The newest version that is known.

    Raises
    ------
    RepositoryError
        If it is newer.
    """
    if found > newest:
        raise RepositoryError(
            f"{where} has schema version {found}; this lsstpipe knows versions up to {newest}, "
            "so use the lsstpipe that made it or a newer one."
        )


def migrate(
    connection: sa.Connection,
    found: int,
    newest: int = SCHEMA_VERSION,
    steps: Mapping[int, Step] = STEPS,
) -> None:
    """Bring a schema up to the newest version within the caller's transaction.

    Parameters
    ----------
    connection
        Within a transaction.
    found
        Its version.
    newest
        The version to reach.
    steps
        From each version to the next.
    """
    for version in range(found, newest):
        steps[version](connection)
    connection.execute(sa.update(schema_version).values(version=newest))
