"""What the manifests of a repository say: products, use of resources, what did not go as planned.

A manifest is a file format, read here as one: the report does not know the code that wrote it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsstpipe.data_model import DataId
from lsstpipe.errors import RepositoryError
from lsstpipe.report.page import Exceptional, Json, StageUse

_SCHEMA_VERSION = 1
_MOST_EXCEPTIONS = 200


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a campaign's quanta, by stage in flow order, and the plan around them.

    Attributes
    ----------
    quanta
        Entries of the manifests by stage.
    environments
        Versions of packages by the digest that quanta name.
    refused
        Files that the ingest refused: ``path`` and ``message``.
    skipped
        What the plan leaves out: ``stage``, ``task``, ``n_quanta``, ``reason``.
    campaign
        Settings of the campaign; empty where there is no plan.
    plan_digest
        Digest of the plan; empty where there is none.
    """

    quanta: Mapping[str, tuple[Json, ...]]
    environments: Mapping[str, Json]
    refused: tuple[Json, ...]
    skipped: tuple[Json, ...]
    campaign: Json
    plan_digest: str


def read_records(repo: Path) -> Records:
    """Read the manifests of a repository, those of its present plan where there is one.

    Parameters
    ----------
    repo
        Folder of the repository.

    Raises
    ------
    RepositoryError
        If there are none, or one of them is damaged or of another version.
    """
    chunks = _read_chunks(repo / "plan" / "chunks.tsv")
    quanta: dict[str, list[Json]] = {stage: [] for stage, _ in chunks}
    environments: dict[str, Json] = {}
    for stage, path in _manifest_paths(repo, chunks):
        manifest = _read_object(path)
        if manifest.get("schema_version") != _SCHEMA_VERSION:
            raise RepositoryError(
                f"{path} has version {manifest.get('schema_version')}, this lsstpipe reads "
                f"version {_SCHEMA_VERSION}."
            )
        quanta.setdefault(stage, []).extend(manifest["quanta"])
        environments |= manifest["environments"]
    if not any(quanta.values()):
        raise RepositoryError(f"{repo} holds no manifest of a stage: nothing has run there yet.")
    ingest = _read_optional(repo / "manifests" / "ingest" / "all.json", {})
    return Records(
        {stage: tuple(entries) for stage, entries in quanta.items()},
        environments,
        tuple(ingest.get("refused", ())),
        tuple(_read_optional(repo / "plan" / "skipped.json", ())),
        _read_optional(repo / "plan" / "campaign.json", {}),
        _read_optional(repo / "plan" / "plan.json", {}).get("digest", ""),
    )


def _read_chunks(path: Path) -> list[tuple[str, str]]:
    """List stage and name of the chunks of the plan, in flow order."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [(row["stage"], row["chunk"]) for row in csv.DictReader(file, delimiter="\t")]


def _manifest_paths(repo: Path, chunks: list[tuple[str, str]]) -> Iterator[tuple[str, Path]]:
    """List the manifests that are there, with their stages."""
    folder = repo / "manifests"
    if chunks:
        paths = [(stage, folder / stage / f"{name}.json") for stage, name in chunks]
    else:
        paths = [(p.parent.name, p) for p in sorted(folder.glob("*/*.json"))]
    return ((stage, p) for stage, p in paths if stage != "ingest" and p.exists())


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RepositoryError(f"{path} is not a readable manifest: {error}.") from error
    return content


def _read_optional(path: Path, default: Any) -> Any:
    """Read a JSON file that need not be there."""
    return _read_object(path) if path.exists() else default


def find_files(records: Records, dataset_type: str) -> list[tuple[DataId, str]]:
    """List the datasets of a type: data ID and path below the repository, in the order of data IDs.

    Parameters
    ----------
    records
        What the manifests say.
    dataset_type
        Name of the type.
    """
    found = {
        DataId(file["data_id"]): str(file["path"])
        for entries in records.quanta.values()
        for entry in entries
        for file in entry["files"]
        if file["dataset_type"] == dataset_type
    }
    return sorted(found.items(), key=lambda item: str(item[0]))


def sum_stages(records: Records) -> tuple[StageUse, ...]:
    """Add up what each stage took.

    Parameters
    ----------
    records
        What the manifests say.
    """
    return tuple(
        StageUse(
            stage,
            len(entries),
            sum(entry["wall_s"] for entry in entries),
            sum(entry["cpu_s"] for entry in entries),
            max((entry["max_rss_mb"] for entry in entries), default=0.0),
            sum(entry["bytes_read"] for entry in entries),
            sum(entry["bytes_written"] for entry in entries),
            sum(entry["status"] != "done" for entry in entries),
        )
        for stage, entries in records.quanta.items()
        if entries
    )


def list_exceptions(records: Records) -> tuple[Exceptional, ...]:
    """List what was refused, skipped, flagged or failed, and why.

    Parameters
    ----------
    records
        What the manifests say.
    """
    refused = [
        Exceptional("file refused", Path(r["path"]).name, r["message"]) for r in records.refused
    ]
    skipped = [
        Exceptional(
            "left out by the plan",
            f"{item['stage']} {item['task']}".strip()
            + (f", {item['n_quanta']} quanta" if item["n_quanta"] else ""),
            item["reason"],
        )
        for item in records.skipped
    ]
    ended = [
        Exceptional(
            entry["status"].replace("_", " "),
            f"{stage} {entry['task']} {DataId(entry['data_id'])}".strip(),
            entry["message"],
        )
        for stage, entries in records.quanta.items()
        for entry in entries
        if entry["status"] != "done"
    ]
    found = refused + skipped + ended
    if len(found) > _MOST_EXCEPTIONS:
        rest = Exceptional(
            "and more", f"{len(found) - _MOST_EXCEPTIONS} entries", "See the manifests."
        )
        found = [*found[:_MOST_EXCEPTIONS], rest]
    return tuple(found)
