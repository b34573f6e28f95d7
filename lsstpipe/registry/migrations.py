"""Versions of the schema: a step for each, forward only."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import RowMapping

from lsstpipe.data_model import DataId
from lsstpipe.datasets import find_dataset_type
from lsstpipe.errors import RepositoryError
from lsstpipe.registry.database import IN_CHUNK, Database
from lsstpipe.registry.exposures import pack_region
from lsstpipe.registry.schema import SCHEMA_VERSION
from lsstpipe.registry.tables import METADATA, dataset, exposure, place_indexes, schema_version

_SCHEMA_LOCK = 5_727_781  # any number that stands for this lock among those of a server

Step = Callable[[sa.Connection], None]


_HOLDERS = ("collection_member", "calibration")


def _pack(connection: sa.Connection) -> None:
    """From 1 to 2: narrow columns, packed checksums and regions, no path that its type spells.

    The tables that refer to datasets are made anew as well: SQLite lets references follow a table
    that is renamed.
    """
    types = connection.exec_driver_sql("SELECT id FROM dataset_type").scalars().all()
    indexes = [f"dataset_of_type_{type_id}" for type_id in types]
    indexes += ["dataset_by_quantum", "dataset_by_run", "exposure_by_raw", "exposure_by_time"]
    indexes += [f"{name}_by_dataset" for name in _HOLDERS]
    for index in indexes:
        connection.exec_driver_sql(f"DROP INDEX {index}")
    for name in ("dataset", "exposure", *_HOLDERS):
        connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO old_{name}")
    METADATA.create_all(connection)
    rows = connection.exec_driver_sql(
        "SELECT d.*, t.name AS type_name, c.name AS run FROM old_dataset AS d "
        "JOIN dataset_type AS t ON t.id = d.type_id JOIN collection AS c ON c.id = d.run_id"
    ).mappings()
    while part := rows.fetchmany(IN_CHUNK):
        connection.execute(sa.insert(dataset), [_packed_dataset(row) for row in part])
    rows = connection.exec_driver_sql("SELECT * FROM old_exposure").mappings()
    while part := rows.fetchmany(IN_CHUNK):
        connection.execute(sa.insert(exposure), [_packed_exposure(row) for row in part])
    for name in _HOLDERS:
        connection.exec_driver_sql(f"INSERT INTO {name} SELECT * FROM old_{name}")
    for name in (*_HOLDERS, "exposure", "dataset"):
        connection.exec_driver_sql(f"DROP TABLE old_{name}")
    for index_of_place in place_indexes():
        index_of_place.create(connection)


def _packed_dataset(row: RowMapping) -> dict[str, Any]:
    values: dict[str, Any] = {n: v for n, v in row.items() if n not in {"type_name", "run"}}
    values["id"] = uuid.UUID(bytes=bytes(row["id"]))
    quantum_id = row["quantum_id"]
    values["quantum_id"] = None if quantum_id is None else uuid.UUID(bytes=bytes(quantum_id))
    kind = find_dataset_type(row["type_name"])
    data_id = DataId({name: row[name] for name in kind.dimensions})
    if row["path"] == kind.path(data_id, row["run"]):
        values["path"] = None
    return values


def _packed_exposure(row: RowMapping) -> dict[str, Any]:
    region = row["region"]
    packed = None if region is None else pack_region(json.loads(region))
    raw_id = uuid.UUID(bytes=bytes(row["raw_id"]))
    return {**row, "region": packed, "raw_id": raw_id}


STEPS: Mapping[int, Step] = {1: _pack}
"""From each version to the next: ``STEPS[1]`` turns 1 into 2."""


def is_begun(database: Database) -> bool:
    """Tell whether a file has a registry; an empty one is what a killed `lsstpipe init` left.

    Parameters
    ----------
    database
        In a file that may be absent.

    Raises
    ------
    RepositoryError
        If the file is that of something else.
    """
    if not database.address.is_present:
        return False
    with database.read() as connection:
        tables = sa.inspect(connection).get_table_names()
    if tables and schema_version.name not in tables:
        raise RepositoryError(
            f"{database.name} is a database of something else, with the table '{tables[0]}'; "
            "a registry needs one of its own."
        )
    return bool(tables)


def read_version(connection: sa.Connection, where: str) -> int:
    """Read the version of the schema of a database.

    Parameters
    ----------
    connection
        Within a transaction.
    where
        What messages call the database.

    Raises
    ------
    RepositoryError
        If the database has no lsstpipe registry.
    """
    if not sa.inspect(connection).has_table(schema_version.name):
        raise RepositoryError(f"{where} has no lsstpipe registry; `lsstpipe init` makes one.")
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


def bring_up_to_date(database: Database) -> None:
    """Check the version of the schema of a database, and migrate an older one.

    Parameters
    ----------
    database
        The database.

    Raises
    ------
    RepositoryError
        If it has no lsstpipe registry, or a newer one.
    """
    with database.read() as connection:
        found = read_version(connection, database.name)
    check_version(found, database.name)
    if found < SCHEMA_VERSION:
        with database.write() as connection:
            lock_schema(connection)
            migrate(connection, read_version(connection, database.name))


def lock_schema(connection: sa.Connection) -> None:
    """Be the only one that makes or changes tables until the transaction ends.

    Parameters
    ----------
    connection
        Within a transaction that writes; on SQLite it is alone anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
