"""A repository is a folder; this says what lies where in it, and where its registry is.

Layout::

    registry.sqlite3                    the registry, or
    repository.json                     where it is
    <run>/<dataset type>/<...>          datasets
    plan/  manifests/  logs/            of the workflow
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.errors import RepositoryError

if TYPE_CHECKING:
    import sqlalchemy as sa

REGISTRY_FILE = "registry.sqlite3"
REPOSITORY_FILE = "repository.json"
"""Says where the registry is, if it is not the file beside."""

_REPOSITORY_VERSION = 1


def registry_url(root: str | Path) -> sa.URL:
    """Give the URL of the registry of a repository.

    Parameters
    ----------
    root
        Folder of the repository.

    Raises
    ------
    RepositoryError
        If the repository says where it is in a way that this code cannot read.
    """
    # A job, which has no registry, need not wait for the package of the databases.
    import sqlalchemy as sa

    path = Path(root) / REPOSITORY_FILE
    try:
        content = json.loads(path.read_bytes())
        version, url = content["schema_version"], content["registry"]
    except FileNotFoundError:
        return sa.URL.create("sqlite", database=str(Path(root).absolute() / REGISTRY_FILE))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RepositoryError(f"{path} does not say where the registry is: {error}.") from error
    if version != _REPOSITORY_VERSION:
        raise RepositoryError(
            f"{path} has version {version}, this lsstpipe reads version {_REPOSITORY_VERSION}."
        )
    return sa.make_url(url)


def write_registry_url(root: Path, url: str) -> None:
    """Note where the registry of a new repository is.

    Parameters
    ----------
    root
        Folder of the repository.
    url
        URL of the database.

    Raises
    ------
    RepositoryError
        If the URL has a password, or the repository has another registry already.
    """
    from lsstpipe.registry.database import parse_url

    parsed = parse_url(url)
    if parsed.password:
        raise RepositoryError(
            "A password in the registry's URL would lie open in the repository; leave it out and "
            "give it by PGPASSWORD or ~/.pgpass, or use auth=iam or auth=secret."
        )
    path = root / REPOSITORY_FILE
    if path.exists() or (root / REGISTRY_FILE).exists():
        known = registry_url(root)
        if known != parsed:
            raise RepositoryError(
                f"The registry of {root} is {known.render_as_string()}, not "
                f"{parsed.render_as_string()}; a repository keeps the registry it was made with."
            )
        return
    content = {"schema_version": _REPOSITORY_VERSION, "registry": parsed.render_as_string()}
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
