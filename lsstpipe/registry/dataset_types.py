"""Dataset types of a database: their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from lsstpipe.datasets import find_dataset_type
from lsstpipe.errors import ConflictError
from lsstpipe.registry.tables import dataset_type


def register(connection: sa.Connection, names: Sequence[str]) -> dict[str, int]:
    """Give dataset types an id each where they have none.

    Parameters
    ----------
    connection
        Within a transaction that writes.
    names
        Names of dataset types.

    Returns
    -------
    dict
        The ids of all types of the database.

    Raises
    ------
    ConflictError
        If the database knows one of them with other dimensions.
    """
    rows = connection.execute(sa.select(dataset_type)).all()
    if {row.name for row in rows}.issuperset(names):
        return _check(rows, names)
    if connection.dialect.name == "postgresql":  # of several that add a type at once, one does
        connection.exec_driver_sql(f"LOCK TABLE {dataset_type.name} IN SHARE ROW EXCLUSIVE MODE")
        rows = connection.execute(sa.select(dataset_type)).all()
    ids = _check(rows, [row.name for row in rows if row.name in names])
    for kind in (find_dataset_type(name) for name in names if name not in ids):
        ids[kind.name] = max(ids.values(), default=0) + 1
        row = {"id": ids[kind.name], "name": kind.name, "dimensions": ",".join(kind.dimensions)}
        connection.execute(sa.insert(dataset_type), row)
    return ids


def _check(rows: Sequence[sa.Row[Any]], names: Sequence[str]) -> dict[str, int]:
    """Give the ids of all types, after those that are named were found to be ours."""
    known = {row.name: row.dimensions for row in rows}
    for kind in (find_dataset_type(name) for name in names):
        dimensions = ",".join(kind.dimensions)
        if known[kind.name] != dimensions:
            raise ConflictError(
                f"{kind.name} has the dimensions '{dimensions}', but in this repository "
                f"'{known[kind.name]}'."
            )
    return {row.name: row.id for row in rows}
