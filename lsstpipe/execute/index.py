"""The index of a release or an exported collection: what it has, as one JSON file beside the files.

With it datasets can be found, checked and registered where there is no registry of the one who
made them. Nothing in it is believed that can be worked out: ids and paths must be those that the
data model gives to a run, a type and a data ID.
"""

from __future__ import annotations

import dataclasses
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from lsstpipe.data_model import DataId, make_id, make_ref
from lsstpipe.datasets import DATASET_TYPES, find_dataset_type
from lsstpipe.datastore import Datastore
from lsstpipe.datastore.layout import INDEX
from lsstpipe.errors import InputFileError, LsstpipeError
from lsstpipe.execute.index_sky import Sky, find_sky, read_sky
from lsstpipe.registry.provenance import Document
from lsstpipe.registry.records import DatasetRecord, QuantumRecord
from lsstpipe.registry.registry import Registry

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Index:
    """What a release has.

    Attributes
    ----------
    collection
        Tag that its datasets have.
    datasets
        The datasets, with paths below the index.
    quanta, documents
        How they were made, as far back as it is known.
    sky
        The exposures and patches that they come from and where these lie: what conditions on bands,
        times, targets and places ask for.
    """

    collection: str
    datasets: tuple[DatasetRecord, ...]
    quanta: tuple[QuantumRecord, ...] = ()
    documents: Mapping[str, Document] = dataclasses.field(default_factory=dict)
    sky: Sky = dataclasses.field(default_factory=Sky)

    def to_bytes(self) -> bytes:
        """Spell it as JSON, the same for the same content."""
        plain = {
            "schema_version": SCHEMA_VERSION,
            "collection": self.collection,
            "datasets": [_plain(record) for record in sorted(self.datasets, key=_by_path)],
            "quanta": [_plain(record) for record in sorted(self.quanta, key=lambda q: q.id)],
            "documents": {k: dataclasses.asdict(v) for k, v in sorted(self.documents.items())},
            **self.sky.to_json_dict(),
        }
        return (json.dumps(plain, indent=0) + "\n").encode()


def _by_path(record: DatasetRecord) -> str:
    return record.path


def make_index(registry: Registry, collection: str, records: Sequence[DatasetRecord]) -> Index:
    """Describe datasets and how they were made.

    Parameters
    ----------
    registry
        Where they are known.
    collection
        Tag that they shall have elsewhere.
    records
        The datasets.
    """
    quanta: dict[uuid.UUID, QuantumRecord] = {}
    documents: dict[str, Document] = {}
    order = {name: place for place, name in enumerate(DATASET_TYPES)}
    # The last products first: what led to them is most of what led to the others.
    for record in sorted(records, key=lambda r: -order.get(r.dataset_type, 0)):
        if record.quantum_id is not None and record.quantum_id not in quanta:
            graph = registry.provenance(record.id)
            quanta |= graph.quanta
            documents |= graph.documents
    sky = find_sky(registry, records)
    return Index(collection, tuple(records), tuple(quanta.values()), documents, sky)


def read_index(datastore: Datastore) -> Index:
    """Read and check the index at the root of a datastore.

    Parameters
    ----------
    datastore
        Where the release or the exported collection is.

    Raises
    ------
    InputFileError
        If there is none, it is damaged, of a newer version, or names what it may not name.
    RepositoryError, TemporaryError
        If it cannot be reached.
    """
    name = datastore.resolve(INDEX)
    content = datastore.read(INDEX)
    try:
        plain = json.loads(content)
        _check_version(plain["schema_version"], name)
        index = _parse(plain)
    except InputFileError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, LsstpipeError) as error:
        reason = str(error).rstrip(".")
        raise InputFileError(f"{name} is no index of lsstpipe: {reason}.") from error
    _check_links(index, name)
    for record in index.datasets:
        _check(record, name)
    return index


def _check_version(version: int, name: str) -> None:
    if version > SCHEMA_VERSION:
        raise InputFileError(
            f"{name} has version {version}; this lsstpipe reads up to {SCHEMA_VERSION}."
        )


def _parse(plain: Mapping[str, Any]) -> Index:
    return Index(
        str(plain["collection"]),
        tuple(_dataset(entry) for entry in plain["datasets"]),
        tuple(_quantum(entry) for entry in plain["quanta"]),
        {key: Document(**value) for key, value in plain["documents"].items()},
        read_sky(plain),
    )


def place_of(record: DatasetRecord) -> DatasetRecord:
    """Give a dataset the path that it has below any root, wherever its file lies now.

    Parameters
    ----------
    record
        The dataset.
    """
    kind = find_dataset_type(record.dataset_type)
    return dataclasses.replace(record, path=kind.path(record.data_id, record.run))


def _check(record: DatasetRecord, name: str) -> None:
    """Refuse an entry whose id or path are not its own; so none can lead out of a folder."""
    ref = make_ref(find_dataset_type(record.dataset_type), record.data_id, record.run)
    if record.id != ref.id or record.path != ref.path:
        raise InputFileError(
            f"{name} says {record.path} of {record.id}, which should be {ref.path} of {ref.id}."
        )
    path = PurePosixPath(record.path)
    hidden = any(part.startswith(".") for part in path.parts)
    if hidden or path.is_absolute() or "\\" in record.path or str(path) != record.path:
        raise InputFileError(f"{name} names {record.path}, which is no path below a folder.")
    if record.size < 0 or not record.checksum:
        raise InputFileError(f"{name} does not say the size and the checksum of {record.path}.")


def _check_links(index: Index, name: str) -> None:
    for quantum in index.quanta:
        # An id of another run would stand for a quantum that is there, and take its datasets away.
        if quantum.id != make_id(quantum.run, quantum.task, str(quantum.data_id)):
            raise InputFileError(
                f"{name} has {quantum.id} as {quantum.task} of {quantum.data_id} in "
                f"'{quantum.run}', which is another one's id."
            )
    known = {record.id for record in index.quanta}
    for record in index.datasets:
        if record.quantum_id is not None and record.quantum_id not in known:
            raise InputFileError(f"{name} lacks the quantum that made {record.path}.")
    if len({record.id for record in index.datasets}) != len(index.datasets):
        raise InputFileError(f"{name} names a dataset twice.")


def _plain(record: DatasetRecord | QuantumRecord) -> dict[str, Any]:
    """Turn a record into JSON values: ids into text, data IDs into objects, NaN into null."""
    return {
        field.name: _plain_value(getattr(record, field.name))
        for field in dataclasses.fields(record)
    }


def _plain_value(value: object) -> object:
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, DataId):
        return dict(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return [str(item) for item in value] if isinstance(value, tuple) else value


def _dataset(plain: Mapping[str, Any]) -> DatasetRecord:
    made_by = plain["quantum_id"]
    return DatasetRecord(
        id=uuid.UUID(plain["id"]),
        dataset_type=str(plain["dataset_type"]),
        data_id=DataId(plain["data_id"]),
        run=str(plain["run"]),
        path=str(plain["path"]),
        size=int(plain["size"]),
        checksum=str(plain["checksum"]),
        quantum_id=None if made_by is None else uuid.UUID(made_by),
    )


def _quantum(plain: Mapping[str, Any]) -> QuantumRecord:
    ids = {
        "id": uuid.UUID(plain["id"]),
        "data_id": DataId(plain["data_id"]),
        "inputs": tuple(uuid.UUID(item) for item in plain["inputs"]),
        "outputs": tuple(uuid.UUID(item) for item in plain["outputs"]),
    }
    return QuantumRecord(**{**plain, **ids})
