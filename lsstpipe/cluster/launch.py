"""Start a Snakemake that goes on by itself, alone on its repository."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lsstpipe.cluster.lock import LOCKED, Holder, find_holder, take_lock, write_holder

_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Launched:
    """A Snakemake that was started.

    Attributes
    ----------
    pid
        Its process.
    exit_code
        How it ended; None where it goes on.
    """

    pid: int
    exit_code: int | None


def launch(repo: Path, command: Sequence[str], log: Path, patience_s: float) -> Launched:
    """Start a command that goes on when this process has ended, with the lock of a repository.

    Parameters
    ----------
    repo
        The repository.
    command
        Snakemake with its arguments.
    log
        Where it writes to.
    patience_s
        How long to wait until it has begun or ended, seconds.

    Raises
    ------
    ConflictError
        If one runs on the repository already.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with take_lock(repo) as lock, log.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            # The lock is the child's too: it is let go of when both have closed it.
            start_new_session=True, pass_fds=(lock.fileno(),),
            env=os.environ | {LOCKED: str(repo.resolve())},
        )  # fmt: skip
        write_holder(repo, Holder(child.pid, platform.node(), time.time()))
    ends = time.monotonic() + patience_s
    while child.poll() is None and time.monotonic() < ends:
        holder = find_holder(repo)
        if holder is not None and holder.phase != "starts":
            break
        time.sleep(_LOOK_S)
    return Launched(child.pid, child.returncode)
