"""Statements that are run thousands of times a second: compiled once, planned once a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

_UNKNOWN, _KNOWN = "26000", "42P05"
"""SQLSTATEs of a plan that the server does not have, or has already: a pooler between us and it
gives each statement another of its connections."""


class Prepared:
    """A statement that is made and compiled once: to find it in a cache would take longer.

    Parameters
    ----------
    make
        Makes the statement for the dialect of this name; its parameters are bound by name.
    plan
        Name under which a server keeps its plan for each connection, which halves the work of one
        that writes a row. Such a statement runs outside of transactions, which a plan that is not
        there would end, returns no rows, and has the same best plan for all values.
    """

    def __init__(self, make: Callable[[str], Any], plan: str = "") -> None:
        self._make = make
        self._plan = plan
        self._compiled: WeakKeyDictionary[sa.Dialect, Any] = WeakKeyDictionary()
        self._planned: WeakKeyDictionary[sa.Dialect, tuple[str, Any]] = WeakKeyDictionary()

    def run(self, connection: sa.Connection, values: dict[str, Any]) -> sa.CursorResult[Any]:
        """Run it.

        Parameters
        ----------
        connection
            Where.
        values
            Values of its parameters.
        """
        if self._plan and connection.dialect.name == "postgresql":
            try:
                return self._run_planned(connection, values)
            except DBAPIError as error:
                if getattr(error.orig, "pgcode", None) not in {_UNKNOWN, _KNOWN}:
                    raise
        dialect = connection.dialect
        compiled = self._compiled.get(dialect)
        if compiled is None:
            compiled = self._make(dialect.name).compile(dialect=dialect)
            self._compiled[dialect] = compiled
        return connection.execute(compiled, values)

    def _run_planned(
        self, connection: sa.Connection, values: dict[str, Any]
    ) -> sa.CursorResult[Any]:
        """Run it by its plan, which the server makes first if this connection has none."""
        dialect = connection.dialect
        if dialect not in self._planned:
            self._planned[dialect] = _spell_plan(self._plan, self._make(dialect.name), dialect)
        definition, call = self._planned[dialect]
        # It lives and ends with the connection to the server.
        if self._plan not in connection.info:
            connection.exec_driver_sql(definition)
            connection.info[self._plan] = True
        return connection.execute(call, values)


def _spell_plan(name: str, statement: Any, dialect: sa.Dialect) -> tuple[str, Any]:
    """Spell how a server is told to plan a statement, and compile how the plan is called."""
    # Registries in a file do without it.
    from sqlalchemy.dialects import postgresql

    numbers: sa.Dialect = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    numbered = statement.compile(dialect=numbers)
    bound = [
        sa.bindparam(key, numbered.params[key], type_=numbered.binds[key].type)
        for key in numbered.positiontup
    ]
    call = sa.text(f"EXECUTE {name} ({', '.join(f':{p.key}' for p in bound)})").bindparams(*bound)
    return f"PREPARE {name} AS {numbered}", call.compile(dialect=dialect)
