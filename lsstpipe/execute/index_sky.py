"""What an index says of the sky: exposures and patches that its datasets name, and their places.

All of it is checked as it is read: a number that is none, or a polygon of another shape, would fail
in the registry, or spoil what others ask of it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lsstpipe.data_model import DataId
from lsstpipe.image.exposure import ObservationInfo
from lsstpipe.registry.exposures import Polygon
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.registry import Registry

Patch = tuple[str, int, int, Polygon]
"""Sky map, tract, patch and corners."""

_OUTLINE = ("instrument", "exposure", "detector")
_PATCH = ("skymap", "tract", "patch")
_LARGEST = {"tract": 2**31, "patch": 2**31}  # what the registry takes; the others are wider
_LARGEST_OTHER = 2**63
_N_CORNERS = 4  # all regions of a registry are quadrangles
_LARGEST_RA, _LARGEST_DEC = 360.0, 90.0
_FIELDS = {field.name: str(field.type) for field in dataclasses.fields(ObservationInfo)}

_NEEDED = {
    field.name
    for field in dataclasses.fields(ObservationInfo)
    if field.default is dataclasses.MISSING
}


@dataclass(frozen=True, slots=True)
class Sky:
    """Exposures and patches.

    Attributes
    ----------
    exposures
        The detectors of the exposures; older indices have one of each.
    outlines
        Where detectors lie, by instrument, exposure and detector, where that is known.
    patches
        Where patches lie.
    """

    exposures: tuple[ObservationInfo, ...] = ()
    outlines: Mapping[DataId, Polygon] = dataclasses.field(default_factory=dict)
    patches: tuple[Patch, ...] = ()

    def to_json_dict(self) -> dict[str, Any]:
        """Return JSON values, the same for the same content."""
        keys = sorted(tuple(data_id[n] for n in _OUTLINE) for data_id in self.outlines)
        corners = {tuple(d[n] for n in _OUTLINE): value for d, value in self.outlines.items()}
        return {
            "exposures": [info.to_json_dict() for info in self.exposures],
            "outlines": [
                {**dict(zip(_OUTLINE, key, strict=True)), "corners": corners[key]} for key in keys
            ],
            "patches": [
                dict(zip((*_PATCH, "corners"), patch, strict=True)) for patch in self.patches
            ],
        }


def find_sky(registry: Registry, records: Sequence[DatasetRecord]) -> Sky:
    """Find what a registry knows of the exposures and patches that datasets name.

    Parameters
    ----------
    registry
        Where they are known.
    records
        The datasets.
    """
    keys = {key for record in records if (key := exposure_of(record.data_id)) is not None}
    known = registry.query_known_exposures(keys)
    outlines = {_data_id(info): corners for info, corners in known if corners is not None}
    infos = tuple(info for info, _ in known)
    return Sky(infos, outlines, tuple(registry.query_patches(tracts_of(records))))


def exposure_of(data_id: DataId) -> tuple[str, int] | None:
    """Give instrument and number of the exposure that a dataset comes from, if it is one.

    Parameters
    ----------
    data_id
        Of the dataset; a visit is the exposure of its number.
    """
    for name in ("exposure", "visit"):
        if name in data_id:
            return str(data_id["instrument"]), data_id.integer(name)
    return None


def tracts_of(records: Sequence[DatasetRecord]) -> set[tuple[str, int]]:
    """Give sky map and number of the tracts of datasets, which may lie in all of their patches.

    Parameters
    ----------
    records
        The datasets.
    """
    ids = (record.data_id for record in records)
    return {(str(d["skymap"]), d.integer("tract")) for d in ids if "tract" in d}


def read_sky(plain: Mapping[str, Any]) -> Sky:
    """Read and check what `Sky.to_json_dict` gave; indices before it have exposures only.

    Parameters
    ----------
    plain
        The content of an index.

    Raises
    ------
    ValueError, TypeError, KeyError, AttributeError
        If a value is none that may be there.
    """
    infos = tuple(_info(entry) for entry in plain["exposures"])
    known = {_data_id(info) for info in infos}
    outlines = {}
    for entry in plain.get("outlines", []):
        *values, corners = _place(entry, _OUTLINE)
        data_id = DataId(dict(zip(_OUTLINE, values, strict=True)))
        if data_id not in known:
            raise ValueError(f"it has an outline of {data_id}, but no such exposure")
        outlines[data_id] = corners
    patches = tuple(_place(entry, _PATCH) for entry in plain.get("patches", []))
    return Sky(infos, outlines, patches)


def _data_id(info: ObservationInfo) -> DataId:
    return DataId(instrument=info.instrument, exposure=info.exposure, detector=info.detector)


def _info(plain: Mapping[str, Any]) -> ObservationInfo:
    for name, value in plain.items():
        if name not in _FIELDS:
            raise ValueError(f"an exposure has no '{name}'")
        if _FIELDS[name] == "str":
            _check_text(name, value)
        elif _FIELDS[name] == "int":
            _check_number(name, value)
        elif value is not None:
            _check_finite(name, value)
    if lacking := sorted(_NEEDED - {name for name, value in plain.items() if value is not None}):
        raise ValueError(f"an exposure lacks '{lacking[0]}'")
    return ObservationInfo.from_json_dict(plain)


def _place(plain: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """Read names, numbers and the corners that belong to them."""
    if set(plain) != {*names, "corners"}:
        raise ValueError(f"a place has {', '.join(names)} and corners, not {', '.join(plain)}")
    word, *numbers = names
    _check_text(word, plain[word])
    for name in numbers:
        _check_number(name, plain[name])
    corners = [(ra, dec) for ra, dec in plain["corners"]]
    if len(corners) != _N_CORNERS:
        raise ValueError(f"a place has {len(corners)} corners instead of {_N_CORNERS}")
    for ra, dec in corners:
        for name, value, largest in (("ra", ra, _LARGEST_RA), ("dec", dec, _LARGEST_DEC)):
            _check_finite(name, value)
            if abs(value) > largest:
                raise ValueError(f"a corner has {name} {value}, which is no angle on the sky")
    return (*(plain[name] for name in names), [(float(ra), float(dec)) for ra, dec in corners])


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, got {value!r}")


def _check_number(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if not 0 <= value < _LARGEST.get(name, _LARGEST_OTHER):
        raise ValueError(f"{name} is {value}, which is out of its range")


def _check_finite(name: str, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError(f"{name} must be a number, got {value!r}")
