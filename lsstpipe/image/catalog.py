"""Tables whose columns have a unit and a meaning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, numpy type, unit (empty where it has none) and meaning."""

    name: str
    dtype: str
    unit: str
    doc: str


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a kind of catalogue, in order."""

    name: str
    columns: tuple[Column, ...]

    def names(self) -> tuple[str, ...]:
        """Return the names of the columns, in order."""
        return tuple(column.name for column in self.columns)


class Catalog:
    """Columns of equal length that fit a schema.

    Parameters
    ----------
    schema
        What the columns are.
    columns
        Values by column name; exactly those of the schema. They are converted to the schema's
        types.

    Raises
    ------
    ValueError
        If a column is missing, unknown, or of another length.
    """

    __slots__ = ("columns", "schema")

    def __init__(self, schema: Schema, columns: Mapping[str, npt.ArrayLike]) -> None:
        missing = sorted(set(schema.names()) - set(columns))
        unknown = sorted(set(columns) - set(schema.names()))
        if missing or unknown:
            raise ValueError(
                f"{schema.name}: missing columns {missing}, unknown columns {unknown}."
            )
        self.schema = schema
        self.columns: dict[str, npt.NDArray[np.generic]] = {
            c.name: np.asarray(columns[c.name], dtype=np.dtype(c.dtype)) for c in schema.columns
        }
        lengths = {name: values.shape for name, values in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"{schema.name}: columns differ in length: {lengths}.")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> npt.NDArray[np.float64]:
        """Return the values of a column (annotated as float for the type checker's sake)."""
        return self.columns[name]  # type: ignore[return-value]

    def select(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Catalog:
        """Keep some rows.

        Parameters
        ----------
        rows
            A boolean per row, or row numbers in the wanted order.
        """
        return Catalog(self.schema, {name: values[rows] for name, values in self.columns.items()})


def concatenate(schema: Schema, parts: Iterable[Catalog]) -> Catalog:
    """Stack catalogues of one schema.

    Parameters
    ----------
    schema
        Their schema; it gives the columns when there are no parts.
    parts
        The catalogues, in the order of the result.
    """
    pieces = list(parts)
    return Catalog(
        schema,
        {
            c.name: np.concatenate([p.columns[c.name] for p in pieces])
            if pieces
            else np.empty(0, dtype=c.dtype)
            for c in schema.columns
        },
    )
