"""The manifest of a chunk: what a job did, quantum by quantum.

While a job runs, each quantum that ends is one JSON line of ``<chunk>.json.partial``, written
through to the disk. When all have ended the manifest takes its place. A job that is killed leaves
the lines of the quanta that had ended; a torn last line counts for nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lsstpipe.data_model import DataId
from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.errors import DataIdError, RepositoryError
from lsstpipe.registry.records import DatasetRecord, QuantumRecord

SCHEMA_VERSION = 1

_OWN = ("run", "stage", "chunk")

_KINDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "manifest": {
        **dict.fromkeys(("plan", *_OWN), str),
        "configs": dict,
        "environments": dict,
        "quanta": list,
    },
    "quantum": {
        **{f.name: str for f in fields(QuantumRecord) if f.default == "" or f.name == "task"},
        **{f.name: (int, float) for f in fields(QuantumRecord) if type(f.default) is float},
        **{f.name: int for f in fields(QuantumRecord) if type(f.default) is int},
        "status": str,
        "key": str,
    },
    "file": {"dataset_type": str, "path": str, "size": int, "checksum": str},
}
"""What the values of its parts are, beside ids, data IDs and lists of others."""


@dataclass(frozen=True, slots=True)
class QuantumEntry:
    """How a quantum ended.

    Attributes
    ----------
    record
        What the registry takes.
    key
        Digest of its task, settings and inputs: what its outputs depend on.
    checksums
        Checksum of each input that was read from a file, by id.
    files
        The outputs that were written.
    """

    record: QuantumRecord
    key: str
    checksums: Mapping[uuid.UUID, str]
    files: tuple[DatasetRecord, ...]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; run, stage and chunk stand once in the manifest."""
        plain = {k: v for k, v in asdict(self.record).items() if k not in _OWN}
        plain["id"] = str(self.record.id)
        plain["data_id"] = dict(self.record.data_id)
        plain["key"] = self.key
        plain["inputs"] = [
            {"id": str(i), "checksum": self.checksums.get(i, "")} for i in self.record.inputs
        ]
        plain["outputs"] = [str(i) for i in self.record.outputs]
        plain["files"] = [
            {
                "id": str(f.id),
                "dataset_type": f.dataset_type,
                "data_id": dict(f.data_id),
                "path": f.path,
                "size": f.size,
                "checksum": f.checksum,
            }
            for f in self.files
        ]
        return plain

    @classmethod
    def from_json(cls, plain: Mapping[str, Any], run: str, stage: str, chunk: str) -> QuantumEntry:
        """Make an entry of JSON values.

        Parameters
        ----------
        plain
            What `to_json` gave.
        run, stage, chunk
            What the manifest says of all its quanta.
        """
        _require("quantum", plain)
        for file in plain["files"]:
            _require("file", file)
        key = uuid.UUID(plain["id"])
        names = {f.name for f in fields(QuantumRecord)} - {*_OWN, "id", "data_id"}
        record = QuantumRecord(
            **{
                **{name: plain[name] for name in names if name in plain},
                "id": key,
                "run": run,
                "stage": stage,
                "chunk": chunk,
                "data_id": DataId(plain["data_id"]),
                "inputs": tuple(uuid.UUID(i["id"]) for i in plain["inputs"]),
                "outputs": tuple(uuid.UUID(i) for i in plain["outputs"]),
            }
        )
        files = tuple(
            DatasetRecord(
                uuid.UUID(f["id"]),
                f["dataset_type"],
                DataId(f["data_id"]),
                run,
                f["path"],
                f["size"],
                f["checksum"],
                key,
            )
            for f in plain["files"]
        )
        checksums = {uuid.UUID(i["id"]): i["checksum"] for i in plain["inputs"] if i["checksum"]}
        return cls(record, plain["key"], checksums, files)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a job did.

    Attributes
    ----------
    plan
        Digest of the plan that it ran.
    run, stage, chunk
        What it ran.
    configs, environments
        Settings of tasks and versions of packages, by the digests that quanta name.
    quanta
        How each ended, in the order of the plan.
    """

    plan: str
    run: str
    stage: str
    chunk: str
    configs: Mapping[str, Any]
    environments: Mapping[str, Any]
    quanta: tuple[QuantumEntry, ...]


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Put a manifest in place.

    Parameters
    ----------
    path
        Where.
    manifest
        What.
    """
    plain = {
        "schema_version": SCHEMA_VERSION,
        "plan": manifest.plan,
        "run": manifest.run,
        "stage": manifest.stage,
        "chunk": manifest.chunk,
        "configs": manifest.configs,
        "environments": manifest.environments,
        "quanta": [entry.to_json() for entry in manifest.quanta],
    }
    write_atomically(path, (json.dumps(plain, indent=1) + "\n").encode())


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Parameters
    ----------
    path
        Where it is.

    Raises
    ------
    RepositoryError
        If it is absent, damaged, or of another version.
    """
    plain = read_plain(path)
    with _explained(f"{path} is not a readable manifest"):
        _require("manifest", plain)
        own = (plain["run"], plain["stage"], plain["chunk"])
        quanta = tuple(QuantumEntry.from_json(entry, *own) for entry in plain["quanta"])
        return Manifest(plain["plan"], *own, plain["configs"], plain["environments"], quanta)


def _require(part: str, plain: Mapping[str, Any]) -> None:
    """Refuse values that are not of the kind that is written."""
    for name, kind in _KINDS[part].items():
        if name in plain and not isinstance(plain[name], kind):
            raise ValueError(f"the {name} of a {part} may not be {json.dumps(plain[name]):.50}")


@contextmanager
def _explained(failed: str) -> Iterator[None]:
    """Say what of JSON is not as it is written here."""
    try:
        yield
    except KeyError as error:
        raise RepositoryError(f"{failed}: a part of it lacks {error}.") from error
    except (TypeError, AttributeError) as error:
        # Python's own words tell of its types, not of the file.
        raise RepositoryError(f"{failed}: a part of it has another form.") from error
    except (ValueError, DataIdError) as error:
        raise RepositoryError(f"{failed}: {str(error).rstrip('.')}.") from error


def read_plain(path: Path) -> dict[str, Any]:
    """Read a manifest of whatever kind, such as that of an ingest, as JSON has it.

    Raises
    ------
    RepositoryError
        If it is absent, damaged, or of another version.
    """
    try:
        plain = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RepositoryError(
            f"{path} is absent: {path.parent.name} {path.stem} has not run yet."
        ) from None
    except (OSError, ValueError) as error:
        raise RepositoryError(f"{path} is not a readable manifest: {error}.") from error
    if not isinstance(plain, dict):
        raise RepositoryError(f"{path} is not a readable manifest: it is no object of JSON.")
    if plain.get("schema_version") != SCHEMA_VERSION:
        raise RepositoryError(
            f"{path} has version {plain.get('schema_version')}, this lsstpipe reads version "
            f"{SCHEMA_VERSION}."
        )
    return plain


def partial_path(path: Path) -> Path:
    """Give the path of the lines that a job writes while it runs."""
    return path.with_name(f"{path.name}.partial")


def read_partial(path: Path, run: str, stage: str, chunk: str) -> list[QuantumEntry]:
    """Read the quanta that ended of a job that runs or was stopped.

    Parameters
    ----------
    path
        Path of the manifest.
    run, stage, chunk
        What the lines are of.

    Raises
    ------
    RepositoryError
        If one of them is damaged.
    """
    lines = partial_path(path)
    return _read_lines(lines, lines.read_bytes(), (run, stage, chunk))


def _read_lines(path: Path, content: bytes, own: tuple[str, str, str]) -> list[QuantumEntry]:
    """Read whole lines; of two of one quantum the last counts."""
    whole = content[: content.rfind(b"\n") + 1].splitlines()
    with _explained(f"{path} has a line that is no quantum (without the file the chunk runs anew)"):
        entries = [QuantumEntry.from_json(json.loads(line), *own) for line in whole]
    return list({entry.record.id: entry for entry in entries}.values())


class Journal:
    """The lines of a running job: who holds it is alone with the chunk.

    Parameters
    ----------
    path
        Path of the manifest.
    descriptor
        The open file of lines, locked.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = partial_path(path)
        self._descriptor = descriptor

    def read(self, run: str, stage: str, chunk: str) -> list[QuantumEntry]:
        """Read the quanta that ended before, and cut off a torn last line.

        Parameters
        ----------
        run, stage, chunk
            What the lines are of.

        Raises
        ------
        RepositoryError
            If one of them is damaged.
        """
        content = self._path.read_bytes()
        os.ftruncate(self._descriptor, content.rfind(b"\n") + 1)
        return _read_lines(self._path, content, (run, stage, chunk))

    def append(self, entry: QuantumEntry) -> None:
        """Write the line of a quantum through to the disk.

        Parameters
        ----------
        entry
            How it ended.

        Raises
        ------
        RepositoryError
            If the disk is full or the folder cannot be written.
        """
        try:
            os.write(self._descriptor, (json.dumps(entry.to_json()) + "\n").encode())
            os.fsync(self._descriptor)
        except OSError as error:
            raise RepositoryError(f"{self._path} cannot be written: {error.strerror}.") from error

    def remove(self) -> None:
        """Remove the lines: the manifest has them."""
        self._path.unlink(missing_ok=True)


@contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """Take a chunk for this process alone; wait while another process runs it.

    The kernel lets go of the lock when its process dies, however it dies.

    Parameters
    ----------
    path
        Path of the manifest.

    Raises
    ------
    RepositoryError
        If the folder cannot be written.
    """
    lines = partial_path(path)
    try:
        lines.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _lock(lines)
    except OSError as error:
        raise RepositoryError(f"{lines} cannot be written: {error.strerror}.") from error
    try:
        yield Journal(path, descriptor)
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int:
    """Open and lock a file; again if it was removed by the process that had it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)
