"""Orphans: files of products that nothing knows of.

A job that is killed between writing a file and recording it leaves one, unless it runs again; so
does an import that is killed, and so does a prune: manifests still name what it has taken out of
the registry. Only a file whose folder and name are those of a dataset type can be
an orphan: plans, logs and what a user keeps beside them never are.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from lsstpipe.data_model import SUFFIXES
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.datastore import Datastore
from lsstpipe.errors import RepositoryError
from lsstpipe.registry.registry import Registry
from lsstpipe.repository import registry_url

_DAY_S = 86400.0


def find_orphans(repo: Path, grace_days: float) -> list[Path]:
    """Find the products that neither the registry names nor a manifest that it has yet to load.

    Parameters
    ----------
    repo
        Folder of the repository.
    grace_days
        Files that were changed within this time are left out: a job may be about to record them.

    Returns
    -------
    paths
        In order.

    Raises
    ------
    RepositoryError
        If a manifest cannot be read: then nobody knows what it names.
    """
    latest = _clock_of(repo) - grace_days * _DAY_S
    # Files first: what is recorded after they were listed is known when they are judged.
    old = [
        found.path
        for found in Datastore(repo).scan()
        if found.modified_s <= latest and _is_named_as_product(found.path)
    ]
    with Registry.open(registry_url(repo)) as registry:
        # Quanta first: what is collected between the two is not taken for something pruned.
        starts = {str(key): mjd for key, mjd in registry.query_starts().items()}
        known = {record.path for record in registry.query_datasets()}
    known.update(_named_by_manifests(repo, starts))
    unknown = [repo / path for path in old if path not in known]
    if not unknown:
        return []
    # What was ingested from below the repository is known by its whole path, and a repository goes
    # by many: from the folder where one works, or through a link.
    ingested = {os.path.realpath(path) for path in known if path.startswith("/")}
    return [path for path in unknown if os.path.realpath(path) not in ingested]


def remove_orphans(repo: Path, paths: list[Path]) -> None:
    """Remove files that `find_orphans` found.

    Parameters
    ----------
    repo
        Folder of the repository.
    paths
        The files.

    Raises
    ------
    RepositoryError
        If one cannot be removed.
    """
    datastore = Datastore(repo)
    for path in paths:
        datastore.remove(str(path.relative_to(repo)))


def _clock_of(repo: Path) -> float:
    """Read the clock that dates files: on a shared file system it need not be this machine's.

    A clock that is ahead would take the product of a job that runs for an old one.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=repo, prefix=".clock.") as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError as error:
        raise RepositoryError(f"{repo} cannot be written: {error.strerror}.") from error


def _is_named_as_product(path: str) -> bool:
    """Tell whether a path is ``<run>/<type>/<type>[_...]<suffix>``."""
    parts = PurePosixPath(path)
    kind = DATASET_TYPES.get(parts.parent.name)
    if kind is None or parts.suffix != SUFFIXES[kind.storage] or len(parts.parts) < 3:
        return False
    return parts.stem == kind.name or parts.stem.startswith(f"{kind.name}_")


def _named_by_manifests(repo: Path, starts: Mapping[str, float]) -> Iterator[str]:
    """Give the paths that manifests, and the lines of jobs that run or were stopped, name.

    Of quanta that the registry has as they are or newer, it says itself what there is.
    """
    for path in sorted((repo / "manifests").rglob("*.json")):
        yield from _paths(_parse(path, path.read_bytes()), starts)
    for path in sorted((repo / "manifests").rglob("*.json.partial")):
        content = path.read_bytes()
        for line in content[: content.rfind(b"\n") + 1].splitlines():
            yield from _paths(_parse(path, line), starts)


def _parse(path: Path, content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError as error:
        raise RepositoryError(f"{path} is not a readable manifest: {error}.") from error


def _paths(value: object, starts: Mapping[str, float]) -> Iterator[str]:
    """Give what stands under ``path`` anywhere in a manifest, whatever its kind."""
    if isinstance(value, dict):
        started = value.get("started_mjd")
        if started is not None and starts.get(value.get("id", ""), -math.inf) >= started:
            return
        if isinstance(named := value.get("path"), str):
            yield named
        for item in value.values():
            yield from _paths(item, starts)
    elif isinstance(value, list):
        for item in value:
            yield from _paths(item, starts)
