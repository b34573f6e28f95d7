"""Columns of equal length, and the joins of them that a plan is made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

IndexArray = npt.NDArray[np.int64]
Values = npt.NDArray[Any]


class Rows:
    """Columns of equal length.

    Parameters
    ----------
    columns
        Values by name, each of shape ``(n,)``.
    n_rows
        Number of rows; needed where there are no columns.
    """

    __slots__ = ("columns", "n_rows")

    def __init__(self, columns: Mapping[str, npt.ArrayLike], n_rows: int | None = None) -> None:
        self.columns: dict[str, Values] = {name: np.asarray(v) for name, v in columns.items()}
        sizes = {len(values) for values in self.columns.values()}
        if n_rows is not None:
            sizes.add(n_rows)
        if len(sizes) != 1:
            raise ValueError(f"columns differ in length or there are none: {sorted(sizes)}")
        self.n_rows = sizes.pop()

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, name: str) -> Values:
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def take(self, rows: IndexArray | npt.NDArray[np.bool_]) -> Rows:
        """Keep some rows, in the order given.

        Parameters
        ----------
        rows
            Row numbers, or a boolean per row.
        """
        n_rows = int(rows.sum()) if rows.dtype == np.bool_ else len(rows)
        return Rows({name: values[rows] for name, values in self.columns.items()}, n_rows)

    def project(self, names: Sequence[str]) -> Rows:
        """Keep some columns, and of equal rows one; rows come out sorted by these columns.

        Parameters
        ----------
        names
            The columns; none gives one row, or none if there are no rows.
        """
        if not names:
            return Rows({}, min(1, len(self)))
        codes, _ = encode(self, None, names)
        _, first = np.unique(codes, return_index=True)
        return Rows({name: self.columns[name][first] for name in names}, len(first))


def encode(left: Rows, right: Rows | None, names: Sequence[str]) -> tuple[IndexArray, IndexArray]:
    """Give numbers to the distinct values of some columns, in their order, over two tables.

    Parameters
    ----------
    left, right
        The tables.
    names
        Columns that both have.

    Returns
    -------
    codes_left, codes_right
        A number per row; equal where the columns are equal, and ordered as they are.
    """
    n_left = len(left)
    total = n_left + (len(right) if right is not None else 0)
    codes = np.zeros(total, dtype=np.int64)
    for name in names:
        values = left[name] if right is None else np.concatenate([left[name], right[name]])
        distinct, numbers = np.unique(values, return_inverse=True)
        # Numbering again after every column keeps the product from overflowing.
        _, codes = np.unique(codes * max(1, len(distinct)) + numbers, return_inverse=True)
    return codes[:n_left], codes[n_left:]


def match(left: Rows, right: Rows, names: Sequence[str]) -> tuple[IndexArray, IndexArray]:
    """Find all pairs of rows that agree in some columns.

    Parameters
    ----------
    left, right
        The tables.
    names
        Columns that both have; none pairs all with all.

    Returns
    -------
    rows_left, rows_right
        Row numbers of the pairs, sorted by left, then right.
    """
    codes_left, codes_right = encode(left, right, names)
    order = np.argsort(codes_right, kind="stable")
    ordered = codes_right[order]
    start = np.searchsorted(ordered, codes_left, side="left")
    count = np.searchsorted(ordered, codes_left, side="right") - start
    rows_left = np.repeat(np.arange(len(left)), count)
    within = np.arange(len(rows_left)) - np.repeat(np.cumsum(count) - count, count)
    return rows_left, order[np.repeat(start, count) + within]


def is_in(left: Rows, right: Rows, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Tell which rows of a table agree in some columns with any row of another.

    Parameters
    ----------
    left, right
        The tables.
    names
        Columns that both have.
    """
    codes_left, codes_right = encode(left, right, names)
    return np.isin(codes_left, codes_right)


def offsets(groups: IndexArray, n_groups: int) -> IndexArray:
    """Turn sorted group numbers into the offsets at which groups begin.

    Parameters
    ----------
    groups
        Group of each item, ascending.
    n_groups
        Number of groups.

    Returns
    -------
    offsets
        Shape ``(n_groups + 1,)``: group ``i`` is ``offsets[i]:offsets[i + 1]``.
    """
    return np.searchsorted(groups, np.arange(n_groups + 1)).astype(np.int64)
