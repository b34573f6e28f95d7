"""What a dataset is: dimensions, data IDs, dataset types, deterministic ids and paths."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from lsstpipe.errors import DataIdError

DataIdValue = int | str

DIMENSIONS: dict[str, type[int] | type[str]] = {
    "instrument": str,
    "detector": int,
    "physical_filter": str,
    "band": str,
    "exposure": int,
    "visit": int,
    "skymap": str,
    "tract": int,
    "patch": int,
}
"""Every dimension and the type of its values, in the order in which data IDs list them."""

WIDE = ("exposure", "visit")
"""Dimensions whose numbers need 64 bits; those of others have 32."""

UNSTORABLE = re.compile(r"[\0\ud800-\udfff]")
"""What no database takes in text: NUL, and bytes of a command line that are no UTF-8."""

Storage = Literal["raw", "exposure", "catalog", "json", "csv"]
"""How a dataset is kept: decides its Python type, its reader and writer, and its suffix."""

SUFFIXES: dict[Storage, str] = {
    "raw": ".fits",
    "exposure": ".fits",
    "catalog": ".parquet",
    "json": ".json",
    "csv": ".csv",
}

_ENDS = {name: 2**63 if name in WIDE else 2**31 for name in DIMENSIONS}
_NAMESPACE = uuid.UUID("6c7c2b0e-6a3b-5d0b-9f4e-2d1b8f0c5a11")
# What uuid.uuid5 does to two bytes of a digest, by RFC 9562.
_VERSION_5 = bytes(value & 0x0F | 0x50 for value in range(256))
_VARIANT = bytes(value & 0x3F | 0x80 for value in range(256))


class DataId(Mapping[str, DataIdValue]):
    """Values of dimensions: immutable, hashable, always in the order of `DIMENSIONS`.

    Parameters
    ----------
    values
        Dimension values by name.

    Raises
    ------
    DataIdError
        If a name is not a dimension, a value is of the wrong type, or no database can keep it.
    """

    __slots__ = ("_values",)

    def __init__(
        self, values: Mapping[str, DataIdValue] | None = None, **more: DataIdValue
    ) -> None:
        if type(values) is DataId and not more:
            self._values: dict[str, DataIdValue] = values._values
            return
        given = {**(values or {}), **more}
        for name, value in given.items():
            end = _ENDS.get(name, 0)
            if type(value) is not DIMENSIONS.get(name) or not (
                value.isprintable() if isinstance(value, str) else -end <= value < end
            ):
                _check_value(name, value, end)
        self._values = {k: given[k] for k in DIMENSIONS if k in given}

    def __getitem__(self, name: str) -> DataIdValue:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    # Those of `Mapping` would ask for the values one by one.

    def keys(self) -> KeysView[str]:
        """Give its dimensions."""
        return self._values.keys()

    def items(self) -> ItemsView[str, DataIdValue]:
        """Give dimensions with their values."""
        return self._values.items()

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataId) and self._values == other._values

    def __str__(self) -> str:
        """Return ``instrument=st10,visit=24``: canonical, used in ids and logs."""
        return ",".join([f"{name}={value}" for name, value in self._values.items()])

    def __repr__(self) -> str:
        return f"DataId({self._values!r})"

    def __reduce__(self) -> tuple[type[DataId], tuple[dict[str, DataIdValue]]]:
        return DataId, (dict(self._values),)

    @property
    def names(self) -> tuple[str, ...]:
        """Its dimensions, in the order of `DIMENSIONS`."""
        return tuple(self._values)

    def subset(self, names: tuple[str, ...]) -> DataId:
        """Keep some of the dimensions.

        Parameters
        ----------
        names
            The dimensions to keep; each must be present.

        Raises
        ------
        DataIdError
            If one of them is missing.
        """
        if self._values.keys() == frozenset(names):
            return self
        if any(name not in self._values for name in names):
            raise DataIdError(f"needs {', '.join(names)}; got {dict(self._values)}.")
        return _of_checked({name: self._values[name] for name in DIMENSIONS if name in names})

    def integer(self, name: str) -> int:
        """Return the value of an integer dimension, for the type checker's sake too."""
        return int(self._values[name])


def tabulate(data_ids: Sequence[DataId], names: Sequence[str]) -> list[list[DataIdValue]]:
    """Give the values of many data IDs, dimension by dimension.

    Parameters
    ----------
    data_ids
        The data IDs.
    names
        Dimensions that all of them have.

    Raises
    ------
    DataIdError
        If one of them has not.
    """
    try:
        return [[item._values[name] for item in data_ids] for name in names]
    except KeyError:
        lacking = next(item for item in data_ids if not set(names) <= item._values.keys())
        raise DataIdError(f"needs {', '.join(names)}; got {dict(lacking)}.") from None


def _of_checked(values: dict[str, DataIdValue]) -> DataId:
    """Make a data ID of values that another has, in the order of `DIMENSIONS`."""
    data_id = DataId.__new__(DataId)
    data_id._values = values
    return data_id


def _check_value(name: str, value: DataIdValue, end: int) -> None:
    """Refuse what no data ID has; text that is not printable may be one of it yet."""
    if (kind := DIMENSIONS.get(name)) is None:
        raise DataIdError(f"'{name}' is not a dimension; allowed are {', '.join(DIMENSIONS)}.")
    if type(value) is not kind:
        raise DataIdError(f"{name} must be {kind.__name__}, got {type(value).__name__} {value!r}.")
    if isinstance(value, int):
        given = value if abs(value) < 2**999 else hex(value)  # Python spells no longer ones
        raise DataIdError(f"{name} must be from {-end} to {end - 1}, got {given}.")
    if UNSTORABLE.search(value):
        raise DataIdError(f"{name} must be text without NUL and stray bytes, got {value!r}.")


def _plain(value: DataIdValue) -> DataIdValue:
    """Give a value as paths have it."""
    return value.replace("/", "-").replace(" ", "-") if isinstance(value, str) else value


@lru_cache
def _path_form(run: str, name: str, n_values: int, suffix: str) -> str:
    """Spell what all paths of a type and run have in common."""
    return f"{run}/{name}/{name}".replace("%", "%%") + "_%s" * n_values + suffix


@dataclass(frozen=True, slots=True)
class DatasetType:
    """A kind of dataset: its name, the dimensions that tell one from another, how it is kept."""

    name: str
    dimensions: tuple[str, ...]
    storage: Storage
    doc: str
    is_calibration: bool = False

    def path(self, data_id: DataId, run: str) -> str:
        """Spell the path of a dataset below the root of the datastore.

        Parameters
        ----------
        data_id
            Exactly the dimensions of this type.
        run
            Name of the run that it belongs to.
        """
        values = data_id.subset(self.dimensions)._values.values()
        form = _path_form(run, self.name, len(values), SUFFIXES[self.storage])
        return form % tuple([v if type(v) is int else _plain(v) for v in values])

    def paths(self, columns: Sequence[Sequence[DataIdValue]], run: str, n_rows: int) -> list[str]:
        """Spell the paths of many datasets of one run.

        Parameters
        ----------
        columns
            Values of the dimensions of this type, in the order of `DIMENSIONS`.
        run
            Name of the run that they belong to.
        n_rows
            How many they are, for the case without dimensions.
        """
        form = _path_form(run, self.name, len(columns), SUFFIXES[self.storage])
        plain = [
            [_plain(value) for value in column] if column and isinstance(column[0], str) else column
            for column in columns
        ]
        if not plain:
            return [form % ()] * n_rows
        return [form % values for values in zip(*plain, strict=True)]


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """One dataset: a type, a data ID and the run that wrote it."""

    id: uuid.UUID
    dataset_type: DatasetType
    data_id: DataId
    run: str

    @property
    def path(self) -> str:
        """Path below the root of the datastore."""
        return self.dataset_type.path(self.data_id, self.run)

    def __str__(self) -> str:
        return f"{self.dataset_type.name}@{{{self.data_id}}} in {self.run}"


def make_ref(dataset_type: DatasetType, data_id: DataId, run: str) -> DatasetRef:
    """Name a dataset: the same arguments always give the same id.

    Parameters
    ----------
    dataset_type
        Its type.
    data_id
        Its data ID; dimensions beyond those of the type are dropped.
    run
        Its run.

    Raises
    ------
    DataIdError
        If a dimension of the type is missing.
    """
    try:
        own = data_id.subset(dataset_type.dimensions)
    except DataIdError as error:
        raise DataIdError(f"{dataset_type.name} {error}") from None
    return DatasetRef(make_id(run, dataset_type.name, str(own)), dataset_type, own, run)


def make_id(run: str, kind: str, name: str) -> uuid.UUID:
    """Derive an id from a run, a kind of thing (dataset type or task) and a canonical name.

    The first 32 bits come from the run alone, so that the rows of one run lie together in an
    index; the rest is the UUIDv5 of all three.

    Parameters
    ----------
    run
        Name of the run.
    kind
        Name of the dataset type or task.
    name
        Canonical name within the kind, such as ``str(data_id)``.
    """
    prefix, head = _hash_head(run, kind)
    whole = head.copy()
    whole.update(name.encode())
    return uuid.UUID(bytes=prefix + whole.digest()[4:16], version=5)


def make_ids(run: str, kind: str, names: Iterable[str]) -> bytes:
    """Derive the ids of many things of one run and kind, 16 bytes each, one after another.

    They are those of `make_id`, at a tenth of its cost.

    Parameters
    ----------
    run
        Name of the run.
    kind
        Name of the dataset type or task.
    names
        Canonical names within the kind.
    """
    prefix, head = _hash_head(run, kind)
    copies = []
    for name in names:
        whole = head.copy()
        whole.update(name.encode())
        copies.append(prefix + whole.digest()[4:16])
    ids = bytearray(b"".join(copies))
    ids[6::16] = ids[6::16].translate(_VERSION_5)
    ids[8::16] = ids[8::16].translate(_VARIANT)
    return bytes(ids)


@lru_cache
def _hash_head(run: str, kind: str) -> tuple[bytes, hashlib._Hash]:
    """Hash what all names of a run and kind begin with; the hash is for copies."""
    prefix = hashlib.sha1(run.encode(), usedforsecurity=False).digest()[:4]
    content = _NAMESPACE.bytes + f"{run}\n{kind}\n".encode()
    return prefix, hashlib.sha1(content, usedforsecurity=False)


def name_data_ids(
    dimensions: Sequence[str], columns: Sequence[Sequence[DataIdValue]], n_rows: int
) -> list[str]:
    """Spell the canonical names of many data IDs: those of ``str(data_id)``.

    Parameters
    ----------
    dimensions
        Their dimensions.
    columns
        Their values, dimension by dimension.
    n_rows
        How many they are, for the case without dimensions.
    """
    if not dimensions:
        return [""] * n_rows
    given = dict(zip(dimensions, columns, strict=True))
    own = [name for name in DIMENSIONS if name in given]
    form = ",".join(f"{name}=%s" for name in own)
    return [form % values for values in zip(*(given[name] for name in own), strict=True)]
