"""One Snakemake a repository: a lock of the kernel's, let go of however a process ends."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Literal

from lsstpipe.errors import ConflictError, RepositoryError
from lsstpipe.plan.layout import lock_path

LOCKED = "LSSTPIPE_LOCKED"
"""Variable with the repository whose lock is held for a process by the one that started it."""

Phase = Literal["starts", "runs", "stops"]

_TRIES = 10
_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class Holder:
    """Who works on a repository.

    Attributes
    ----------
    pid, host
        The process, and where it runs; 0 and empty where it has not said so yet.
    since
        When it took the lock, seconds since 1970.
    phase
        Whether it works out what is to be done, does it, or begins nothing new.
    """

    pid: int = 0
    host: str = ""
    since: float = 0.0
    phase: Phase = "starts"


def hold_lock(repo: str | Path) -> IO[str] | None:
    """Hold the lock for this run of the workflow.

    Parameters
    ----------
    repo
        The repository.

    Returns
    -------
    file
        As of `take_lock`; None where who started this process holds the lock for it.
    """
    if os.environ.get(LOCKED) == str(Path(repo).resolve()):
        return None
    return take_lock(repo)


def take_lock(repo: str | Path) -> IO[str]:
    """Be the only one who runs a campaign on a repository, for as long as the file is open.

    Parameters
    ----------
    repo
        The repository, made if absent.

    Returns
    -------
    file
        The locked file; a child process that inherits it holds the lock too.

    Raises
    ------
    ConflictError
        If another process has it.
    RepositoryError
        If the folder cannot be written.
    """
    path = lock_path(repo)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise RepositoryError(f"{path} cannot be written: {error.strerror}.") from error
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Somebody may just be asking whether it is held.
            time.sleep(_WAIT_S)
            continue
        write_holder(repo, Holder(os.getpid(), platform.node(), time.time()))
        return file
    file.close()
    holder = _read(path)
    raise ConflictError(
        f"Another snakemake is running on {repo}, process {holder.pid} on {holder.host}; wait for "
        "it or stop it."
    )


def write_holder(repo: str | Path, holder: Holder) -> None:
    """Say who holds the lock of a repository.

    Parameters
    ----------
    repo
        The repository.
    holder
        Who.
    """
    # In place: the lock is on this file, not on its name.
    lock_path(repo).write_text(json.dumps(asdict(holder)))


def note_phase(repo: str | Path, phase: Phase) -> None:
    """Say what who holds the lock is about.

    Parameters
    ----------
    repo
        The repository.
    phase
        What it is about.
    """
    write_holder(repo, replace(_read(lock_path(repo)), phase=phase))


def find_holder(repo: str | Path) -> Holder | None:
    """Find who runs a campaign on a repository; None where nobody does.

    Parameters
    ----------
    repo
        The repository.
    """
    path = lock_path(repo)
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _read(path)
    return None


def _read(path: Path) -> Holder:
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return Holder()
