"""Ingest what Rubin's Butler exported: raws, and datasets of types and forms that lsstpipe knows.

Files stay where they are. A raw is named by its header, which must agree with its data ID; any
other dataset must be one that lsstpipe can read. What cannot be taken is refused, with the reason,
and the rest goes on. Chains, tags and validity ranges come along, and where patches lie.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lsstpipe import io
from lsstpipe.butler import Butler
from lsstpipe.data_model import DataId, DatasetType, make_ref
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.errors import ConflictError, DataIdError, InputFileError, UserError
from lsstpipe.execute import butler_yaml
from lsstpipe.execute.butler_export import THEIR_NAMES
from lsstpipe.execute.butler_yaml import Time
from lsstpipe.execute.ingest import RAW_RUN, Refusal
from lsstpipe.geometry.sphere import sky_positions
from lsstpipe.image.exposure import ObservationInfo
from lsstpipe.instruments import get_camera, read_info
from lsstpipe.instruments.raw import CAMERAS
from lsstpipe.registry.exposures import Polygon
from lsstpipe.registry.records import DatasetRecord

_N_CORNERS = 4
_OWN_NAMES = {theirs: own for own, theirs in THEIR_NAMES.items()}

Entry = dict[str, Any]

Span = tuple[float, float]
"""TAI MJD, begin included, end excluded."""


@dataclass(slots=True)
class Taken:
    """What became of an export.

    Attributes
    ----------
    n_raws, n_datasets
        Raws, and other datasets, that are registered now.
    n_new
        How many of them were not there before.
    refused
        Files that were not taken.
    """

    n_raws: int = 0
    n_datasets: int = 0
    n_new: int = 0
    refused: list[Refusal] = field(default_factory=list)


def ingest_butler(
    butler: Butler, export: Path, on_file: Callable[[str], None] = lambda path: None
) -> Taken:
    """Register what an export names; doing it again changes nothing.

    Parameters
    ----------
    butler
        The repository that takes it.
    export
        The YAML; paths in it are below its folder.
    on_file
        Called with each file when it was looked at.

    Raises
    ------
    InputFileError
        If the YAML is absent or no export.
    ConflictError
        If the repository has a dataset of the same name with other content, or a dataset holds in
        a collection for ranges of time that lie apart, of which lsstpipe keeps one.
    """
    entries = butler_yaml.read(butler.store.datastore.read(str(export.absolute())), str(export))
    reader = _Reader(butler, export.absolute().parent)
    for kind_name, run, row in _rows(entries):
        try:
            reader.take(kind_name, run, row)
        except (InputFileError, DataIdError, UserError) as error:
            reader.taken.refused.append(Refusal(str(row.get("path")), str(error)))
        on_file(str(row.get("path")))
    return reader.register(entries)


def _rows(entries: list[Entry]) -> Iterator[tuple[str, str, Entry]]:
    """Give type, run and row of each file."""
    for entry in entries:
        if entry["type"] == "dataset":
            for row in entry["records"]:
                yield entry["dataset_type"], entry["run"], row


class _Reader:
    """Reads the files of an export and notes what is to be registered.

    Parameters
    ----------
    butler
        The repository that takes it.
    folder
        Where the files are.
    """

    def __init__(self, butler: Butler, folder: Path) -> None:
        self._butler, self._folder = butler, folder
        self._infos: list[ObservationInfo] = []
        self._raws: list[DatasetRecord] = []
        self._products: list[DatasetRecord] = []
        self._own_ids: dict[str, uuid.UUID] = {}
        self.taken = Taken()

    def take(self, name: str, run: str, row: Entry) -> None:
        """Look at a file, and note it.

        Raises
        ------
        InputFileError, DataIdError, UserError
            If lsstpipe cannot use it.
        """
        own_name = _OWN_NAMES.get(name, name)
        if own_name not in DATASET_TYPES:
            raise UserError(f"lsstpipe has no dataset type '{name}'.")
        kind = DATASET_TYPES[own_name]
        path = str(self._folder / row["path"])
        ids, data_ids = _listed(row["dataset_id"]), _listed(row["data_id"])
        if (len(ids), len(data_ids)) != (1, 1):
            raise UserError(
                f"{path} holds {len(ids)} datasets of {len(data_ids)} data IDs; lsstpipe takes one "
                "a file."
            )
        data_id = _own_data_id(kind, data_ids[0])
        if kind.storage == "raw":
            info = read_info(path, get_camera(str(data_id["instrument"])))
            found = {n: getattr(info, n) for n in kind.dimensions}
            if found != dict(data_id):
                raise InputFileError(f"{path} is of {found} by its header, not of {dict(data_id)}.")
            record = self._describe(kind, data_id, RAW_RUN, path)
            self._infos.append(info)
            self._raws.append(record)
        else:
            record = self._describe(kind, data_id, run, path)
            io.read(self._butler.store.datastore.read(path), kind.storage, path)
            self._products.append(record)
        self._own_ids[str(ids[0])] = record.id

    def _describe(self, kind: DatasetType, data_id: DataId, run: str, path: str) -> DatasetRecord:
        stored = self._butler.store.datastore.describe(path)
        ref = make_ref(kind, data_id, run)
        return DatasetRecord(ref.id, kind.name, data_id, run, path, stored.size, stored.checksum)

    def register(self, entries: list[Entry]) -> Taken:
        """Register what was noted, and the collections around it."""
        registry = self._butler.registry
        taken = self.taken
        validity = self._find_validity(entries)  # refuses, so before anything is registered
        if self._raws:
            taken.n_new += registry.insert_exposures(self._infos, self._raws, self._outlines())
        taken.n_new += registry.ingest(self._products)
        taken.n_raws, taken.n_datasets = len(self._raws), len(self._products)
        for entry in entries:
            if entry["type"] == "dimension" and entry["element"] == "patch":
                self._insert_patches(entry["records"])
            if entry["type"] == "associations":
                self._tag(entry)
        for name, spans in validity.items():
            for span, ids in spans.items():
                registry.certify(name, ids, *span)
        self._define_chains(entries)
        return taken

    def _outlines(self) -> dict[DataId, Polygon]:
        """Outline the raws whose pointing is known."""
        outlines: dict[DataId, Polygon] = {}
        for info, record in zip(self._infos, self._raws, strict=True):
            camera = get_camera(info.instrument)
            pointing = {name: getattr(info, name) for name in ("ra_deg", "dec_deg", "rotation_deg")}
            corners = camera.footprint(camera.detector(info.detector), **pointing)
            if corners is not None:
                outlines[record.data_id] = corners
        return outlines

    def _insert_patches(self, rows: list[Entry]) -> None:
        patches: dict[str, list[tuple[int, int, Polygon]]] = {}
        for row in rows:
            corners = _corners(row.get("region"))
            if corners is not None:
                own = patches.setdefault(row["skymap"], [])
                own.append((row["tract"], row["id"], corners))
        for skymap, own in patches.items():
            self._butler.registry.insert_patches(skymap, own)

    def _tag(self, entry: Entry) -> None:
        if entry["collection_type"] == "TAGGED" and (own := self._known(entry["dataset_ids"])):
            self._butler.registry.tag(entry["collection"], own)

    def _find_validity(self, entries: list[Entry]) -> dict[str, dict[Span, list[uuid.UUID]]]:
        """Find when the datasets that were taken hold: by collection, then by range."""
        ranges: dict[str, dict[uuid.UUID, list[Span]]] = {}
        for entry in entries:
            if entry["type"] != "associations" or entry["collection_type"] == "TAGGED":
                continue
            for item in entry["validity_ranges"]:
                if (time := item["timespan"]) is None:  # it holds at no time
                    continue
                span = (_mjd(time.begin, -np.inf), _mjd(time.end, np.inf))
                for key in self._known(item["dataset_ids"]):
                    own = ranges.setdefault(entry["collection"], {})
                    own.setdefault(key, []).append(span)
        found: dict[str, dict[Span, list[uuid.UUID]]] = {}
        for name, holders in ranges.items():
            there = self._held(name)
            for key, spans in holders.items():
                (span, *others) = _join(spans)
                if key in there and len(_join([span, there[key]])) > 1:
                    others.append(there[key])
                if others:
                    self._refuse_ranges(name, key, [span, *others])
                found.setdefault(name, {}).setdefault(span, []).append(key)
        return found

    def _held(self, name: str) -> dict[uuid.UUID, Span]:
        """Give the ranges that a collection of the repository has."""
        held = self._butler.registry.calibrations_of(name)
        return {c.dataset.id: (c.valid_begin_mjd, c.valid_end_mjd) for c in held}

    def _refuse_ranges(self, name: str, key: uuid.UUID, spans: list[Span]) -> None:
        paths = {record.id: record.path for record in (*self._raws, *self._products)}
        spelled = " and ".join(f"from MJD {begin} to {end}" for begin, end in sorted(spans))
        raise ConflictError(
            f"{paths[key]} holds {spelled} in '{name}', of which lsstpipe keeps one range of a "
            "dataset, so nothing was registered; export the others in other collections."
        )

    def _known(self, ids: list[object]) -> list[uuid.UUID]:
        return [self._own_ids[str(item)] for item in ids if str(item) in self._own_ids]

    def _define_chains(self, entries: list[Entry]) -> None:
        """Define the chains of collections of which something was taken, children first."""
        registry = self._butler.registry
        chains = {
            e["name"]: e["children"] for e in entries if e.get("collection_type") == "CHAINED"
        }
        known = {item.name for item in registry.collections()}
        pending = dict(chains)
        while pending:
            ready = [n for n, children in pending.items() if not set(children) & set(pending)]
            if not ready:
                raise ConflictError(f"The chains {', '.join(sorted(pending))} hold each other.")
            for name in ready:
                if children := [child for child in pending.pop(name) if child in known]:
                    registry.define_chain(name, children)
                    known.add(name)


def _own_data_id(kind: DatasetType, given: Any) -> DataId:
    """Make a data ID of lsstpipe; cameras have small letters there."""
    if not isinstance(given, dict):
        raise DataIdError(f"A data ID of {kind.name} must be a mapping, got {given}.")
    values = dict(given)
    name = str(values.get("instrument", ""))
    if name.lower() in CAMERAS:
        values["instrument"] = name.lower()
    if set(values) != set(kind.dimensions):
        raise DataIdError(
            f"{kind.name} has {', '.join(kind.dimensions) or 'no dimensions'}, not "
            f"{', '.join(sorted(map(str, values))) or 'none'}."
        )
    return DataId(values)


def _corners(region: Any) -> Polygon | None:
    """Give the corners of a region, degrees; None of what is no quadrangle."""
    encoded = region.get("encoded") if isinstance(region, dict) else None
    try:
        content = bytes.fromhex(encoded if isinstance(encoded, str) else "")
    except ValueError:
        return None
    if content[:1] != b"p" or len(content) != 1 + _N_CORNERS * 3 * 8:
        return None
    vectors = np.frombuffer(content[1:], dtype="<f8").reshape(_N_CORNERS, 3)
    return list(zip(*(values.tolist() for values in sky_positions(vectors)), strict=True))


def _mjd(time: Time | None, unbounded: float) -> float:
    return unbounded if time is None else time.mjd


def _join(spans: list[Span]) -> list[Span]:
    """Make one of ranges that overlap or touch."""
    joined: list[Span] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]
