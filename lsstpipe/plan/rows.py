"""Columns of equal length, and the joins of them that a plan is made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

IndexArray = npt.NDArray[np.int64]
Values = npt.NDArray[Any]

_FEW = 8
"""A table of this many entries a row is cheaper than sorting the rows."""
_MAX_SPAN = 2**62


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
        codes, _, _ = _encode(self, None, names)
        if np.any(codes[1:] < codes[:-1]):
            _, first = np.unique(codes, return_index=True)
        else:
            first = np.flatnonzero(np.diff(codes, prepend=-1))
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
        A number per row, from 0 without gaps; equal where the columns are equal, and ordered as
        they are.
    """
    codes_left, codes_right, span = _encode(left, right, names)
    codes, _ = _renumber(np.concatenate([codes_left, codes_right]), span)
    return codes[: len(left)], codes[len(left) :]


def _encode(
    left: Rows, right: Rows | None, names: Sequence[str]
) -> tuple[IndexArray, IndexArray, int]:
    """Give numbers as `encode` does, but with gaps; all are below the third of what is returned."""
    n_left = len(left)
    codes = np.zeros(n_left + (len(right) if right is not None else 0), dtype=np.int64)
    span = 1
    for name in names:
        values = left[name] if right is None else np.concatenate([left[name], right[name]])
        numbers, n_distinct = _number(values)
        if n_distinct <= 1:
            continue
        if span * n_distinct > _MAX_SPAN:
            codes, span = _renumber(codes, span)
        codes = codes * n_distinct + numbers
        span *= n_distinct
    return codes[:n_left], codes[n_left:], span


def _number(values: Values) -> tuple[IndexArray, int]:
    """Give the values of a column numbers in their order, below the second of what is returned."""
    if len(values) == 0 or not np.any(values != values[0]):
        return np.zeros(len(values), dtype=np.int64), min(1, len(values))
    if values.dtype.kind == "i":
        low, high = int(values.min()), int(values.max())
        if high - low < _FEW * len(values):
            return values.astype(np.int64) - low, high - low + 1
    if values.dtype.kind == "U":
        codes, span = _number_text(values)
        if span <= _FEW * len(values):
            return codes, span
    # Hashing finds the distinct values faster than sorting; then only those are sorted.
    encoded = pa.array(values).dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):  # texts of more than 2 GB
        encoded = encoded.unify_dictionaries().combine_chunks()
    distinct = np.array(encoded.dictionary.to_pylist(), dtype=values.dtype)
    order = np.argsort(distinct)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[encoded.indices.to_numpy()], len(order)


def _number_text(values: Values) -> tuple[IndexArray, int]:
    """Give texts numbers by those of their characters that differ: in filters and bands few do."""
    characters = np.ascontiguousarray(values).view(np.uint32).reshape(len(values), -1)
    codes, span = np.zeros(len(values), dtype=np.int64), 1
    for column in characters.T:
        low, high = int(column.min()), int(column.max())
        if high > low and span <= _FEW * len(values):
            codes = codes * (high - low + 1) + (column - low)
            span *= high - low + 1
    return codes, span


def _renumber(codes: IndexArray, span: int) -> tuple[IndexArray, int]:
    """Close the gaps between numbers below a span; give the new span too."""
    if span <= _FEW * len(codes):
        present = np.zeros(span, dtype=np.int64)
        present[codes] = 1
        rank = np.cumsum(present) - 1
        return rank[codes], int(rank[-1]) + 1
    distinct, numbers = np.unique(codes, return_inverse=True)
    return numbers.astype(np.int64), len(distinct)


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
    n_codes = 1 + max(codes_left.max(initial=-1), codes_right.max(initial=-1))
    ends = np.cumsum(np.bincount(codes_right, minlength=n_codes))
    count = np.bincount(codes_right, minlength=n_codes)[codes_left]
    start = ends[codes_left] - count
    is_sorted = not np.any(codes_right[1:] < codes_right[:-1])
    rows_left = np.repeat(np.arange(len(left)), count)
    within = np.arange(len(rows_left)) - np.repeat(np.cumsum(count) - count, count)
    places = np.repeat(start, count) + within
    order = places if is_sorted else np.argsort(codes_right, kind="stable")[places]
    return rows_left, order


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
    is_there = np.zeros(1 + codes_left.max(initial=-1), dtype=np.bool_)
    is_there[codes_right[codes_right < len(is_there)]] = True
    found: npt.NDArray[np.bool_] = is_there[codes_left]
    return found


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
