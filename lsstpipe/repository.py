"""A repository is a folder; this says what lies where in it, and what it needs beyond it.

Layout::

    registry.sqlite3                    the registry, or
    repository.json                     where it is, and where else files are read
    <run>/<dataset type>/<...>          datasets
    plan/  manifests/  logs/            of the workflow
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lsstpipe.datastore import Datastore
from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.datastore.cache import ReadCache
from lsstpipe.datastore.chain import ChainedDatastore
from lsstpipe.errors import ConfigError, RepositoryError
from lsstpipe.registry.address import Address, parse_address, refuse_password

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
        URL of its registry on a server or in another file; empty where it is the file beside.
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
        _check_types(content)
        content["also_read"] = tuple(content.get("also_read", ()))
        is_known = version in range(1, _VERSION + 1)
        found = Repository(**content) if is_known else Repository()
    except FileNotFoundError:
        return Repository()
    except NotADirectoryError as error:
        raise RepositoryError(f"{path.parent} cannot be a folder: a file is in its way.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RepositoryError(f"{path} does not describe a repository: {error}.") from error
    if not is_known:
        raise RepositoryError(
            f"{path} has version {version}, this lsstpipe reads versions 1 to {_VERSION}."
        )
    return found


def _check_types(content: Mapping[str, object]) -> None:
    """Refuse what no repository says; a URL may have a password, so no value is shown."""
    for name, kind in (("registry", str), ("products", str), ("also_read", list)):
        if not isinstance(content.get(name, kind()), kind):
            raise TypeError(f"'{name}' must be a {kind.__name__}")
    also_read, cache_gb = content.get("also_read", []), content.get("cache_gb", 0.0)
    if not all(isinstance(item, str) for item in also_read):  # type: ignore[attr-defined]
        raise TypeError("'also_read' must be a list of str")
    if not (isinstance(cache_gb, int | float) and 0 <= cache_gb < math.inf):
        raise TypeError("'cache_gb' must be a number of GB, 0 or more")


def settle(root: Path, wanted: Repository) -> Repository:
    """Check what a repository is to say of itself, and spell it as it is kept.

    Parameters
    ----------
    root
        Its folder.
    wanted
        What it is to say.

    Returns
    -------
    Repository
        The same with the file of a registry spelled from the root of the file system.

    Raises
    ------
    ConfigError
        If a number is out of range.
    RepositoryError
        If a URL has a password or leads nowhere, or the repository is there and says otherwise.
    """
    if not 0 <= wanted.cache_gb < math.inf:
        raise ConfigError(
            f"The cache of remote files must have 0 GB or more, got {wanted.cache_gb}."
        )
    if wanted.registry:
        refuse_password(parse_address(wanted.registry))
    kept = _spell_absolute(wanted)
    known = _spell_absolute(read_repository(root))
    # Without a registry it is no repository yet: what was to make it did not get that far.
    if known != kept and (known.registry or (root / REGISTRY_FILE).exists()):
        raise RepositoryError(
            f"{root} is a repository with other settings, {_show(known)}; it keeps what it was "
            f"made with, got {_show(kept)}."
        )
    return kept


def _spell_absolute(repository: Repository) -> Repository:
    """Make the file of a registry the same one from every folder."""
    address = parse_address(repository.registry) if repository.registry else None
    if address is None or address.is_server:
        return repository
    if not address.is_file:
        raise RepositoryError(
            f"A registry in memory, {repository.registry}, is gone with its process; allowed are "
            "sqlite:///FILE and postgresql://USER@HOST/DATABASE."
        )
    return replace(repository, registry=f"sqlite:///{Path(address.database).absolute()}")


def write_repository(root: Path, wanted: Repository) -> None:
    """Note what a new repository says of itself.

    Parameters
    ----------
    root
        Its folder.
    wanted
        What it says, as for `settle`.
    """
    kept = settle(root, wanted)
    if kept != read_repository(root):
        content = {"schema_version": _VERSION, **asdict(kept)}
        text = json.dumps(content, indent=1, allow_nan=False)
        write_atomically(root / REPOSITORY_FILE, (text + "\n").encode())


def make_repository(root: Path, wanted: Repository | None, *, exist_ok: bool) -> None:
    """Make a repository; one whose making was stopped is made by doing it again.

    Parameters
    ----------
    root
        Its folder.
    wanted
        What it says of itself, as for `settle`; None for what it says already, if anything.
    exist_ok
        Whether one that is there is left as it is.

    Raises
    ------
    RepositoryError
        If there is one, or one that says otherwise, or it cannot be written.
    """
    from lsstpipe.registry.registry import Registry  # brings SQLAlchemy: opening does without it

    if wanted is not None and wanted.registry:
        # The registry first: the repository would keep an address that leads nowhere.
        Registry.create(settle(root, wanted).registry, exist_ok=exist_ok).close()
        write_repository(root, wanted)
        return
    if wanted is not None:
        # The settings first: with the file of a registry alone it is a repository without any.
        write_repository(root, wanted)
    Registry.create(registry_url(root), exist_ok=exist_ok).close()


def _show(repository: Repository) -> str:
    values = asdict(repository)
    if repository.registry and (address := parse_address(repository.registry)).has_password:
        values["registry"] = address.name  # lsstpipe has kept such a URL once
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


def require_run_name(run: str) -> None:
    """Refuse a name of a run that cannot be a folder below the root.

    Parameters
    ----------
    run
        Its name; it may have parts, such as ``hsc/main``.

    Raises
    ------
    RepositoryError
        If it leads elsewhere, or to a hidden folder.
    """
    has_odd = any(sign in run for sign in ("\\", "\0", "\n", ":"))
    if has_odd or not all(part and not part.startswith(".") for part in run.split("/")):
        raise RepositoryError(
            "A run is named by parts joined by '/', none of which is empty or begins with a dot, "
            f"without colons and backslashes; got {run!r}."
        )


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
