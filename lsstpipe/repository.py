"""A repository is a folder; this says what lies where in it, and what it needs beyond it.

Layout::

    registry.sqlite3                    the registry, or
    repository.json                     where it is, and where else files are read
    <run>/<dataset type>/<...>          datasets
    plan/  manifests/  logs/            of the workflow
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from lsstpipe.datastore import Datastore
from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.datastore.cache import ReadCache
from lsstpipe.datastore.chain import ChainedDatastore
from lsstpipe.errors import RepositoryError
from lsstpipe.registry.address import Address, parse_address

REGISTRY_FILE = "registry.sqlite3"
REPOSITORY_FILE = "repository.json"
"""Says where the registry is, if it is not the file beside, and where else files are read."""

CACHE_FOLDER = "cache"
"""Copies of remote files that were read, below the repository."""

_VERSION = 2
"""Version 1 knew no bucket of products; it is read too."""


@dataclass(frozen=True, slots=True)
class Repository:
    """What a repository says of itself.

    Attributes
    ----------
    registry
        URL of its registry on a server; empty where it is the file beside.
    also_read
        Where files are looked for that the repository has not, such as
        ``s3://products/releases/dp1``, in this order.
    cache_gb
        How much of remote files is kept on the local disk once it was read, GB; 0 for nothing.
    products
        Bucket of its site, such as ``s3://survey-123456789012-products``, in which a release lies
        that is named by its prefix alone; empty where there is none.
    """

    registry: str = ""
    also_read: tuple[str, ...] = ()
    cache_gb: float = 0.0
    products: str = ""


def read_repository(root: str | Path) -> Repository:
    """Read what a repository says of itself; what it does not say is as for a new one.

    Parameters
    ----------
    root
        Folder of the repository.

    Raises
    ------
    RepositoryError
        If it says it in a way that this code cannot read.
    """
    path = Path(root) / REPOSITORY_FILE
    try:
        content = json.loads(path.read_bytes())
        version = content.pop("schema_version")
        content["also_read"] = tuple(content.get("also_read", ()))
        is_known = version in range(1, _VERSION + 1)
        found = Repository(**content) if is_known else Repository()
    except FileNotFoundError:
        return Repository()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RepositoryError(f"{path} does not describe a repository: {error}.") from error
    if not is_known:
        raise RepositoryError(
            f"{path} has version {version}, this lsstpipe reads versions 1 to {_VERSION}."
        )
    return found


def write_repository(root: Path, wanted: Repository) -> None:
    """Note what a new repository says of itself.

    Parameters
    ----------
    root
        Its folder.
    wanted
        What it says.

    Raises
    ------
    RepositoryError
        If a URL has a password, or the repository is there and says otherwise.
    """
    if wanted.registry and parse_address(wanted.registry).password:
        raise RepositoryError(
            "A password in the registry's URL would lie open in the repository; leave it out and "
            "give it by PGPASSWORD or ~/.pgpass, or use auth=iam or auth=secret."
        )
    path = root / REPOSITORY_FILE
    if path.exists() or (root / REGISTRY_FILE).exists():
        known = read_repository(root)
        if known != wanted:
            raise RepositoryError(
                f"{root} is a repository with other settings, {_spell(known)}; it keeps what it "
                f"was made with, got {_spell(wanted)}."
            )
        return
    content = {"schema_version": _VERSION, **asdict(wanted)}
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def _spell(repository: Repository) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in asdict(repository).items())


def registry_url(root: str | Path) -> Address:
    """Tell where the registry of a repository is.

    Parameters
    ----------
    root
        Folder of the repository.

    Raises
    ------
    RepositoryError
        If the repository says where it is in a way that this code cannot read.
    """
    url = read_repository(root).registry
    if url:
        return parse_address(url)
    return Address("sqlite", str(Path(root).absolute() / REGISTRY_FILE))


def open_datastore(root: str | Path) -> Datastore:
    """Open the datastore of a repository, with what else it reads and its cache.

    Parameters
    ----------
    root
        Folder or URL of the repository.

    Raises
    ------
    RepositoryError
        If the repository describes them in a way that this code cannot read.
    """
    if "://" in str(root):
        return Datastore(root)
    settings = read_repository(root)
    cache = None
    if settings.cache_gb:
        cache = ReadCache(Path(root) / CACHE_FOLDER, int(settings.cache_gb * 1e9))
    if settings.also_read:
        return ChainedDatastore([root, *settings.also_read], cache=cache)
    return Datastore(root, cache)
