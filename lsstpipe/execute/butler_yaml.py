"""The YAML of Rubin's Butler exports: its tags for ids, times and regions, written and read.

The format is that of ``lsst.daf.butler.transfers``, version 1.0.2, with the dimension universe
``daf_butler`` 8. A region is the hexadecimal form of ``lsst.sphgeom.ConvexPolygon.encode``: the
letter p, then the unit vectors of the corners.
"""

from __future__ import annotations

import datetime
import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import yaml

from lsstpipe.errors import InputFileError

VERSION = "1.0.2"
UNIVERSE = ("daf_butler", 8)

_REGION_TAG = "lsst.sphgeom.ConvexPolygon"
_TIME_TAG = "!butler_time/tai/iso"
_TIMESPAN_TAG = "!lsst.daf.butler.Timespan"
_UUID_TAG = "!uuid"
_MJD_0 = datetime.date(1858, 11, 17)
_MJD_OF_EPOCH = 40587  # 1970-01-01
# Rubin's Butler knows TAI between these two; a bound that it is given beyond them, or at one, is
# no bound there.
_FIRST_MJD, _LAST_MJD = float(_MJD_OF_EPOCH), 88069.0
_NS_PER_DAY = 86_400_000_000_000
_Keys = dict[str, type | tuple[type, ...]]
_KEYS: dict[str, _Keys] = {
    "dataset": {"dataset_type": str, "run": str, "records": list},
    "associations": {"collection": str, "collection_type": str},
    "dimension": {"element": str, "records": list},
}
"""What the entries that are looked at must say, and of which kind it is."""

_ROW_KEYS: _Keys = {"path": str, "dataset_id": object, "data_id": (dict, list)}
_PATCH_KEYS: _Keys = {"skymap": str, "tract": int, "id": int}
_CHAIN_KEYS: _Keys = {"name": str, "children": list}


@dataclass(frozen=True, slots=True)
class Time:
    """An instant, TAI MJD."""

    mjd: float

    def __str__(self) -> str:
        """Spell it with nanoseconds; TAI has no leap seconds, so this is plain arithmetic."""
        days = math.floor(self.mjd)
        more, rest = divmod(round((self.mjd - days) * _NS_PER_DAY), _NS_PER_DAY)
        # Apart, as the nanoseconds of both at once have no room for years after 2262.
        date = np.datetime64(days + more - _MJD_OF_EPOCH, "D")
        clock = str(np.datetime64(rest, "ns")).partition("T")[2]
        return f"{date} {clock}"

    @classmethod
    def parse(cls, text: str) -> Time:
        """Read what `__str__` spells, and a date of any other year."""
        date, _, clock = text.replace("T", " ").partition(" ")
        days = (datetime.date.fromisoformat(date) - _MJD_0).days
        since_midnight = np.datetime64(f"1970-01-01T{clock or '00'}", "ns").astype(np.int64)
        return cls(days + int(since_midnight) / _NS_PER_DAY)


@dataclass(frozen=True, slots=True)
class Timespan:
    """A stretch of time; None is without bound."""

    begin: Time | None
    end: Time | None

    @classmethod
    def from_mjd(cls, begin: float, end: float) -> Timespan | None:
        """Make one as Rubin's Butler can hold it.

        Parameters
        ----------
        begin, end
            TAI MJD, or an infinity.

        Returns
        -------
        timespan
            Without bound where it reaches beyond 1970 or 2100; None where all of it lies there.
        """
        if not (begin < _LAST_MJD and end > _FIRST_MJD):
            return None
        return cls(
            Time(begin) if begin > _FIRST_MJD else None, Time(end) if end < _LAST_MJD else None
        )


@dataclass(frozen=True, slots=True)
class Region:
    """A convex polygon: unit vectors of its corners, counter-clockwise, shape ``(n, 3)``."""

    corners: npt.NDArray[np.float64]


class _Dumper(yaml.CSafeDumper):
    """Writes the tags, and each value as often as it is there."""

    def ignore_aliases(self, data: object) -> bool:
        """Write no anchors."""
        return True


_Dumper.add_representer(
    uuid.UUID, lambda dumper, value: dumper.represent_scalar(_UUID_TAG, str(value))
)
_Dumper.add_representer(Time, lambda dumper, value: dumper.represent_scalar(_TIME_TAG, str(value)))
_Dumper.add_representer(
    Timespan,
    lambda dumper, value: dumper.represent_mapping(
        _TIMESPAN_TAG, {"begin": value.begin, "end": value.end}
    ),
)
_Dumper.add_representer(
    Region,
    lambda dumper, value: dumper.represent_mapping(
        _REGION_TAG, {"encoded": (b"p" + value.corners.astype("<f8").tobytes()).hex()}
    ),
)


class _Loader(yaml.CSafeLoader):
    """Reads the tags of what lsstpipe takes; a region of another kind is left as it is."""


def _read_timespan(loader: yaml.CSafeLoader, node: yaml.Node) -> Timespan | None:
    """Read a timespan; None where it is empty, which is spelled as a word."""
    if not isinstance(node, yaml.MappingNode):
        return None
    bounds = loader.construct_mapping(node)
    begin, end = bounds["begin"], bounds["end"]
    if not (isinstance(begin, Time | None) and isinstance(end, Time | None)):
        raise ValueError("a timespan has a begin and an end that are times, or null")  # noqa: TRY004
    return Timespan.from_mjd(
        -math.inf if begin is None else begin.mjd, math.inf if end is None else end.mjd
    )


def _read_tagged(loader: yaml.CSafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node)
    return node.value


_Loader.add_constructor(_UUID_TAG, lambda _loader, node: uuid.UUID(str(node.value)))
_Loader.add_constructor(_TIME_TAG, lambda _loader, node: Time.parse(str(node.value)))
_Loader.add_constructor(_TIMESPAN_TAG, _read_timespan)
_Loader.add_multi_constructor("lsst.sphgeom.", _read_tagged)


def write(entries: list[dict[str, Any]], stream: IO[bytes]) -> None:
    """Write an export.

    Parameters
    ----------
    entries
        Its ``data``.
    stream
        Where to.
    """
    namespace, universe = UNIVERSE
    document = {
        "description": "Butler Data Repository Export",
        "version": VERSION,
        "universe_version": universe,
        "universe_namespace": namespace,
        "data": entries,
    }
    yaml.dump(document, stream, _Dumper, sort_keys=False, encoding="utf-8")


def read(content: bytes, name: str) -> list[dict[str, Any]]:
    """Read the ``data`` of an export.

    Parameters
    ----------
    content
        The file.
    name
        What messages call it.

    Raises
    ------
    InputFileError
        If it is no export, or of another major version.
    """
    no_export = f"{name} is no export of a Butler"
    try:
        document = yaml.load(content, _Loader)
    except (
        yaml.YAMLError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        ArithmeticError,
    ) as error:
        reason = " ".join(str(error).split())  # yaml tells of the place in lines of its own
        raise InputFileError(f"{no_export}: it cannot be read as YAML ({reason}).") from error
    if not isinstance(document, dict) or not {"version", "data"} <= document.keys():
        raise InputFileError(f"{no_export}: it must be a mapping with 'version' and 'data'.")
    version, entries = str(document["version"]), document["data"]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputFileError(f"{no_export}: its 'data' must be a list of mappings.")
    for entry in entries:
        for what, part, keys in _parts(entry):
            _require(f"{no_export}: {what}", part, keys)
    if version.partition(".")[0] not in {"0", VERSION.partition(".")[0]}:
        raise InputFileError(f"{name} has version {version}; allowed are those that begin with 1.")
    return entries


def _parts(entry: dict[str, Any]) -> Iterator[tuple[str, Any, _Keys]]:
    """Give what is read of an entry, with the keys that it must have; what holds a part first."""
    kind = str(entry.get("type"))
    yield "an entry of its 'data'", entry, {"type": str, **_KEYS.get(kind, {})}
    if kind == "dataset":
        yield from (("a record of a dataset", row, _ROW_KEYS) for row in entry["records"])
    elif kind == "dimension" and entry["element"] == "patch":
        yield from (("a record of a patch", row, _PATCH_KEYS) for row in entry["records"])
    elif kind == "associations" and entry["collection_type"] == "TAGGED":
        yield "a tagged collection", entry, {"dataset_ids": list}
    elif kind == "associations":
        yield "a calibration collection", entry, {"validity_ranges": list}
        for item in entry["validity_ranges"]:
            yield (
                "a validity range",
                item,
                {"timespan": (Timespan, type(None)), "dataset_ids": list},
            )
    elif entry.get("collection_type") == "CHAINED":
        yield "a chain", entry, _CHAIN_KEYS
        for child in entry["children"]:
            yield "a chain", {"children": child}, {"children": str}


def _require(what: str, part: Any, keys: _Keys) -> None:
    """Refuse a part that lacks a key, or has another kind of value there."""
    if not isinstance(part, dict):
        raise InputFileError(f"{what} may not be {_spell(part)}.")
    if lacking := sorted(keys - part.keys()):
        raise InputFileError(f"{what} lacks '{lacking[0]}'.")
    for name, kind in keys.items():
        if not isinstance(part[name], kind):
            raise InputFileError(f"{what} may not have {_spell(part[name])} as '{name}'.")


def _spell(value: object) -> str:
    """Spell a value as YAML does, as far as a message has room for it."""
    return f"{'null' if value is None else value!s:.50}"


def day_of(mjd: float) -> int:
    """Give the day of an observation as Rubin counts: YYYYMMDD of the time in TAI 12 h before.

    Parameters
    ----------
    mjd
        TAI MJD.
    """
    day = _MJD_0 + datetime.timedelta(days=math.floor(mjd - 0.5))
    return day.year * 10000 + day.month * 100 + day.day
