"""Sweep: remove what killed processes left."""

from __future__ import annotations

from pathlib import Path

from lsstpipe.datastore.atomic import find_temporaries
from lsstpipe.errors import RepositoryError
from lsstpipe.execute.manifest import open_journal
from lsstpipe.registry.address import require_present
from lsstpipe.repository import registry_url


def sweep(repo: Path, *, dry_run: bool = False) -> list[Path]:
    """Remove temporary files of processes that no longer run, and journals of finished chunks.

    The journal of a chunk that was killed stays: its next run goes on from there.

    Parameters
    ----------
    repo
        Folder of the repository.
    dry_run
        Whether the files are named only.

    Returns
    -------
    paths
        What was, or would be, removed.

    Raises
    ------
    RepositoryError
        If the folder holds no repository, or cannot be written.
    """
    # Other programs have temporary files of such names, too.
    require_present(registry_url(repo))
    found = list(find_temporaries(repo))
    finished = [
        path
        for path in sorted((repo / "manifests").rglob("*.json.partial"))
        if path.with_suffix("").exists()
    ]
    if not dry_run:
        for path in found:
            _remove(path)
        for path in finished:
            # The lock keeps a job that runs the chunk again from losing its lines.
            with open_journal(path.with_suffix("")) as journal:
                journal.remove()
    return found + finished


def _remove(path: Path) -> None:
    """Remove a file that may have gone by itself."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RepositoryError(f"{path} cannot be removed: {error.strerror}.") from error
