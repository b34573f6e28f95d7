"""Dataset types of a database: their ids and their indexes."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from lsstpipe.datasets import find_dataset_type
from lsstpipe.errors import ConflictError
from lsstpipe.registry.tables import dataset_type, type_index


def register(connection: sa.Connection, names: Sequence[str]) -> dict[str, int]:
    """Give dataset types an id and an index each where they have none.

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
    known = {row.name: row for row in rows}
    ids: dict[str, int] = {row.name: row.id for row in rows}
    for kind in (find_dataset_type(name) for name in names):
        dimensions = ",".join(kind.dimensions)
        if kind.name not in known:
            ids[kind.name] = max(ids.values(), default=0) + 1
            connection.execute(
                sa.insert(dataset_type),
                {"id": ids[kind.name], "name": kind.name, "dimensions": dimensions},
            )
            type_index(kind, ids[kind.name]).create(connection)
        elif known[kind.name].dimensions != dimensions:
            raise ConflictError(
                f"{kind.name} has the dimensions '{dimensions}', but in this repository "
                f"'{known[kind.name].dimensions}'."
            )
    return ids
