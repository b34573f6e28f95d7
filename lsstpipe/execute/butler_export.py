"""Export a collection so that Rubin's Butler imports it: the files, and one YAML that names them.

    butler create REPO
    butler import REPO FOLDER --transfer copy

Tables are read there as ``ArrowAstropy`` (or, by ``storageClass=``, as ``ArrowTable`` or
``DataFrame``) and JSON as ``StructuredDataDict``. Images are dicts of arrays there, read by a
formatter of lsstpipe, which must be installed beside Rubin's: they do not have afw's own form of an
image in FITS. Ids stay what they are. Several names are those of Rubin's dataset types, which are
kept otherwise: import into a repository of its own.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from lsstpipe.butler import Butler
from lsstpipe.data_model import Storage
from lsstpipe.datasets import DATASET_TYPES, find_dataset_type
from lsstpipe.datastore import Datastore
from lsstpipe.errors import RepositoryError
from lsstpipe.execute import butler_yaml
from lsstpipe.execute.butler_dimensions import make_dimensions
from lsstpipe.execute.butler_yaml import Timespan
from lsstpipe.execute.transfer import Advance, for_each
from lsstpipe.registry.calibrations import Calibration
from lsstpipe.registry.records import DatasetRecord

EXPORT_FILE = "export.yaml"

_FORMATTERS = "lsst.daf.butler.formatters"
_PLAIN = ("StructuredDataDict", "lsstpipe.io.butler_formatter.PlainFormatter")
STORAGE_CLASSES: dict[Storage, tuple[str, str]] = {
    "raw": _PLAIN,
    "exposure": _PLAIN,
    "catalog": ("ArrowAstropy", f"{_FORMATTERS}.parquet.ParquetFormatter"),
    "json": ("StructuredDataDict", f"{_FORMATTERS}.json.JsonFormatter"),
    "csv": _PLAIN,
}
"""Storage class of Rubin and its formatter, by how lsstpipe keeps a dataset."""

THEIR_NAMES = {"skymap": "skymap_json"}
"""Names there of dataset types whose own name is taken: Rubin's ``skymap`` is a dimension only."""

_RAW_SUFFIXES = (".fits", ".fit", ".fz", ".gz")

Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: number of datasets, their bytes, and the path of the YAML."""

    n_datasets: int
    size: int
    path: str


def export_butler(
    butler: Butler, collection: str, folder: Path, *, jobs: int, advance: Advance
) -> Exported:
    """Copy a collection into a folder, with the YAML that Rubin's Butler imports.

    Doing it again completes a folder that a kill left half full: the YAML comes last.

    Parameters
    ----------
    butler
        The repository.
    collection
        A run, a tag, a calibration collection or a chain of them.
    folder
        Where to; made where it is not there.
    jobs
        How many files are copied at the same time.
    advance
        Called after each file with its path.

    Raises
    ------
    RepositoryError
        If there is no such collection, the repository lacks what a data ID needs, or a time lies
        outside of those that Rubin's Butler holds.
    InputFileError
        If a file is absent or damaged.
    ConflictError
        If the folder has a file with other content.
    """
    contents = _Contents(butler, collection)
    records = list(contents.records.values())
    entries = make_dimensions(butler, (record.data_id for record in records))
    entries += contents.collection_entries() + _dataset_entries(records)
    entries += contents.association_entries()
    target = Datastore(folder.absolute())

    def copy(record: DatasetRecord) -> None:
        content = butler.store.datastore.read(record.path, record.checksum)
        target.create(place_of(record), content)

    for record, _ in for_each(records, copy, jobs):
        advance(record.path)
    stream = BytesIO()
    butler_yaml.write(entries, stream)
    target.write(EXPORT_FILE, stream.getvalue())
    size = sum(record.size for record in records)
    return Exported(len(records), size, target.resolve(EXPORT_FILE))


def place_of(record: DatasetRecord) -> str:
    """Say where in the folder a dataset goes: where lsstpipe would put it.

    A raw keeps its own suffix, and Parquet has the only one that Rubin's formatter takes.

    Parameters
    ----------
    record
        The dataset, which may lie outside the repository.
    """
    kind = find_dataset_type(record.dataset_type)
    path = kind.path(record.data_id, record.run)
    if kind.storage == "catalog":
        return str(PurePosixPath(path).with_suffix(".parq"))
    if kind.storage != "raw":
        return path
    own = [s for s in PurePosixPath(record.path).suffixes if s.lower() in _RAW_SUFFIXES]
    return str(PurePosixPath(path).with_suffix("")) + "".join(own)


class _Contents:
    """What a collection holds, and how.

    Parameters
    ----------
    butler
        The repository.
    name
        The collection.
    """

    def __init__(self, butler: Butler, name: str) -> None:
        registry = butler.registry
        kinds = {item.name: item.kind for item in registry.collections()}
        if name not in kinds:
            raise RepositoryError(f"There is no collection '{name}'.")
        chains = registry.chains()
        self._chains: dict[str, list[str]] = {}
        self._flat: dict[str, str] = {}
        pending = [name]
        while pending:
            current = pending.pop()
            if kinds[current] == "CHAINED":
                self._chains[current] = chains.get(current, [])
                pending += [c for c in self._chains[current] if c not in self._chains]
            else:
                self._flat[current] = kinds[current]
        self.records: dict[uuid.UUID, DatasetRecord] = {}
        self._tagged: dict[str, list[uuid.UUID]] = {}
        self._certified: dict[str, list[Calibration]] = {}
        for child, kind in self._flat.items():
            if kind == "CALIBRATION":
                self._certified[child] = found = [
                    item
                    for type_ in DATASET_TYPES.values()
                    if type_.is_calibration
                    for item in registry.query_calibrations(type_, [child])
                ]
                own = [item.dataset for item in found]
            else:
                own = registry.query_datasets(names=[child])
                if kind == "TAGGED":
                    self._tagged[child] = [record.id for record in own]
            self.records |= {record.id: record for record in own}

    def collection_entries(self) -> list[Entry]:
        """Name the collections: those of datasets before the chains of them."""
        runs = {record.run for record in self.records.values()}
        runs |= {name for name, kind in self._flat.items() if kind == "RUN"}
        entries: list[Entry] = [
            {
                "type": "collection",
                "collection_type": "RUN",
                "name": name,
                "host": None,
                "timespan_begin": None,
                "timespan_end": None,
            }
            for name in sorted(runs)
        ]
        entries += [
            {"type": "collection", "collection_type": kind, "name": name}
            for name, kind in self._flat.items()
            if kind != "RUN"
        ]
        # A chain is made after those that it names.
        for name, children in reversed(self._chains.items()):
            entry = {"type": "collection", "collection_type": "CHAINED", "name": name}
            entries.append(entry | {"children": children})
        return entries

    def association_entries(self) -> list[Entry]:
        """Say what tags hold, and calibration collections for which times."""
        entries: list[Entry] = [
            {
                "type": "associations",
                "collection": name,
                "collection_type": "TAGGED",
                "dataset_ids": ids,
            }
            for name, ids in self._tagged.items()
        ]
        for name, items in self._certified.items():
            spans: dict[tuple[float, float], list[uuid.UUID]] = defaultdict(list)
            for item in items:
                spans[item.valid_begin_mjd, item.valid_end_mjd].append(item.dataset.id)
            ranges = [
                {
                    "timespan": _timespan(name, begin, end),
                    "dataset_ids": ids,
                }
                for (begin, end), ids in spans.items()
            ]
            entries.append(
                {
                    "type": "associations",
                    "collection": name,
                    "collection_type": "CALIBRATION",
                    "validity_ranges": ranges,
                }
            )
        return entries


def _timespan(collection: str, begin: float, end: float) -> Timespan:
    """Say when calibrations hold; refuse a time that would turn into all times."""
    if (timespan := Timespan.from_mjd(begin, end)) is None:
        raise RepositoryError(
            f"In '{collection}' calibrations hold from MJD {begin:.10g} to {end:.10g}, and Rubin's "
            "Butler holds only times from 1970 to 2100."
        )
    return timespan


def _dataset_entries(records: Sequence[DatasetRecord]) -> list[Entry]:
    """Name the datasets, type by type and run by run, each type before its datasets."""
    groups: dict[tuple[str, str], list[DatasetRecord]] = defaultdict(list)
    for record in records:
        groups[record.dataset_type, record.run].append(record)
    entries: list[Entry] = []
    for name in dict.fromkeys(name for name, _ in groups):
        kind = find_dataset_type(name)
        entries.append(
            {
                "type": "dataset_type",
                "name": THEIR_NAMES.get(name, name),
                "dimensions": list(kind.dimensions),
                "storage_class": STORAGE_CLASSES[kind.storage][0],
                "is_calibration": kind.is_calibration,
            }
        )
    for (name, run), own in groups.items():
        formatter = STORAGE_CLASSES[find_dataset_type(name).storage][1]
        rows = [
            {
                "dataset_id": [record.id],
                "data_id": [dict(record.data_id)],
                "path": place_of(record),
                "formatter": formatter,
            }
            for record in own
        ]
        own_name = THEIR_NAMES.get(name, name)
        entries.append({"type": "dataset", "dataset_type": own_name, "run": run, "records": rows})
    return entries
