"""Prune: let the workflow forget what a run has made."""

from __future__ import annotations

from pathlib import Path

from lsstpipe.errors import RepositoryError
from lsstpipe.execute.manifest import read_plain
from lsstpipe.plan.layout import pilot_path


def remove_manifests(repo: Path, run: str) -> None:
    """Remove the manifests of a run, that of its ingest too; then the workflow has it to make.

    Parameters
    ----------
    repo
        Folder of the repository.
    run
        Name of the run.

    Raises
    ------
    RepositoryError
        If one cannot be read, so that nobody knows of which run it is, or cannot be removed; none
        is removed before all were read.
    """
    own = [
        path
        for path in sorted((repo / "manifests").glob("*/*.json"))
        if read_plain(path).get("run") == run
    ]
    # A pilot runs those of its chunks only that have no manifest.
    stages = dict.fromkeys(path.parent.name for path in own)
    pilots = [
        done for stage in stages for done in pilot_path(repo, stage, "").parent.glob("*.done")
    ]
    for path in [*pilots, *own]:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise RepositoryError(f"{path} cannot be removed: {error.strerror}.") from error
