"""Control of a campaign on Slurm: hold, release, change and end its jobs, at any moment.

Nothing here asks Snakemake, which sees no more of it than jobs that wait longer or end.
"""

from __future__ import annotations

import os
import platform
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lsstpipe.cluster.leftovers import cancel_jobs
from lsstpipe.cluster.lock import Holder, find_holder, note_phase
from lsstpipe.cluster.slurm import QueuedJob
from lsstpipe.cluster.submission import find_partition
from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.errors import TemporaryError, UserError
from lsstpipe.plan.chunks import Chunk
from lsstpipe.plan.layout import job_prefix, manifest_path, paused_path

_TRIES = 5
_SUBMITTING_S = 1.0
"""How long a job may be on its way to Slurm that nobody had paused when it was sent."""
_PATIENCE_S = 30.0


class JobQueue(Protocol):
    """What is needed of Slurm."""

    def queue(self) -> list[QueuedJob]:
        """Give all jobs that wait or run."""

    def tell_jobs(self, order: str, ids: Sequence[int], *changes: str) -> None:
        """Tell `scontrol` something about jobs."""

    def cancel_pending(self, ids: Sequence[int]) -> None:
        """Cancel those of some jobs that still wait."""

    def partitions(self) -> str:
        """Give partitions and the memory of their nodes."""


@dataclass(frozen=True, slots=True)
class Own:
    """A campaign on its repository, whose jobs are told from others by their names."""

    campaign: str
    repo: Path

    @property
    def prefix(self) -> str:
        """What the names of its jobs begin with."""
        return job_prefix(self.campaign, self.repo)

    def jobs(self, queue: JobQueue, stages: Iterable[str] = ()) -> list[QueuedJob]:
        """Find its jobs that wait or run.

        Parameters
        ----------
        queue
            Slurm.
        stages
            Those of some stages only; empty for all.
        """
        wanted = set(stages)
        return [
            job
            for job in queue.queue()
            if job.name.startswith(self.prefix) and (not wanted or job.stage in wanted)
        ]


def read_paused(repo: str | Path) -> frozenset[str]:
    """Read which stages of a repository are paused.

    Parameters
    ----------
    repo
        The repository.
    """
    try:
        return frozenset(paused_path(repo).read_text().split())
    except FileNotFoundError:
        return frozenset()


def _write_paused(repo: Path, stages: Iterable[str]) -> None:
    names = sorted(stages)
    if names:
        write_atomically(paused_path(repo), ("\n".join(names) + "\n").encode())
    else:
        paused_path(repo).unlink(missing_ok=True)


def pause(own: Own, queue: JobQueue, stages: Sequence[str]) -> list[int]:
    """Hold the jobs of some stages that wait, and those that are submitted from now on.

    Those that run go on.

    Parameters
    ----------
    own, queue
        The campaign and Slurm.
    stages
        Names of the stages.

    Returns
    -------
    list of int
        Jobs that were held.
    """
    # First: what Snakemake submits from here on is held by itself.
    _write_paused(own.repo, read_paused(own.repo) | set(stages))
    held: list[int] = []
    for _ in range(2):
        held += _tell(queue, "hold", lambda: _waiting(own, queue, stages, is_held=False))
        if find_holder(own.repo) is None:
            break
        time.sleep(_SUBMITTING_S)
    return held


def resume(own: Own, queue: JobQueue, stages: Sequence[str]) -> list[int]:
    """Let the jobs of some stages run that were held.

    Parameters
    ----------
    own, queue, stages
        As for `pause`.

    Returns
    -------
    list of int
        Jobs that were released.
    """
    _write_paused(own.repo, read_paused(own.repo) - set(stages))
    return _tell(queue, "release", lambda: _waiting(own, queue, stages, is_held=True))


def change(
    own: Own,
    queue: JobQueue,
    stages: Sequence[str],
    *,
    memory_mb: int | None = None,
    pool: str | None = None,
) -> list[int]:
    """Change what jobs that wait ask for.

    Parameters
    ----------
    own, queue, stages
        As for `pause`.
    memory_mb
        Memory, MB; None leaves it.
    pool
        Where they may run; None leaves it.

    Returns
    -------
    list of int
        Jobs that were changed.

    Raises
    ------
    ConfigError
        If there is no such pool, or no node of it has that memory: nothing is changed then.
    """
    text = queue.partitions()
    if pool is not None:
        find_partition(text, pool)

    def find() -> list[QueuedJob]:
        return [
            job
            for job in own.jobs(queue, stages)
            if job.is_pending
            and not (pool in (None, job.partition) and memory_mb in (None, job.memory_mb))
        ]

    for job in find():
        partition = find_partition(text, pool or job.partition.split(",")[0])
        partition.require_memory(memory_mb or job.memory_mb, f"Job {job.id}")
    changes = [f"partition={pool}"] if pool is not None else []
    changes += [f"minmemorynode={memory_mb}"] if memory_mb is not None else []
    return _tell(queue, "update", find, *changes)


def _waiting(own: Own, queue: JobQueue, stages: Sequence[str], *, is_held: bool) -> list[QueuedJob]:
    return [j for j in own.jobs(queue, stages) if j.is_pending and j.is_held == is_held]


def _tell(
    queue: JobQueue, order: str, find: Callable[[], list[QueuedJob]], *changes: str
) -> list[int]:
    """Tell it the jobs that are found, until none is: some begin or are submitted meanwhile."""
    told: set[int] = set()
    error: TemporaryError | None = None
    for _ in range(_TRIES):
        ids = [job.id for job in find()]
        if not ids:
            return sorted(told)
        try:
            queue.tell_jobs(order, ids, *changes)
        except TemporaryError as failure:
            error = failure
        told |= set(ids)
    if error is not None and find():
        raise error
    return sorted(told)


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a stop met.

    Attributes
    ----------
    holder
        The Snakemake; None where there was none.
    n_cancelled, n_running
        Jobs that waited and were cancelled; jobs that run to their end.
    """

    holder: Holder | None
    n_cancelled: int
    n_running: int


def stop(own: Own, queue: JobQueue) -> Stopped:
    """Begin nothing new: jobs that wait are cancelled, those that run come to their end.

    Parameters
    ----------
    own, queue
        The campaign and Slurm.

    Raises
    ------
    UserError
        If its Snakemake runs on another machine.
    TemporaryError
        If it does not end though no job runs.
    """
    holder = find_holder(own.repo)
    if holder is not None:
        # Snakemake then submits nothing more, and ends when its jobs have.
        _send(holder, signal.SIGTERM)
        note_phase(own.repo, "stops")
    waiting = {job.id for job in own.jobs(queue) if job.is_pending}
    queue.cancel_pending(sorted(waiting))
    left = {job.id for job in own.jobs(queue)}
    if holder is not None and not left:
        # It would end at its next look; nothing is left that it need look at.
        _end(own, holder)
    return Stopped(holder, len(waiting - left), len(left))


def stop_now(own: Own) -> Stopped:
    """End Snakemake and all jobs; what they have recorded is not lost.

    Parameters
    ----------
    own
        The campaign.

    Raises
    ------
    UserError
        If its Snakemake runs on another machine.
    TemporaryError
        If it or its jobs do not end.
    """
    holder = find_holder(own.repo)
    if holder is not None:
        _end(own, holder)
    return Stopped(holder, len(cancel_jobs(own.prefix)), 0)


def _end(own: Own, holder: Holder) -> None:
    """End a Snakemake and what it runs here."""
    _send(holder, signal.SIGINT)
    if not _is_free(own.repo):
        _send(holder, signal.SIGKILL)
    if not _is_free(own.repo):
        raise TemporaryError(f"Process {holder.pid} does not end within {_PATIENCE_S:.0f} s.")


def _send(holder: Holder, number: signal.Signals) -> None:
    """Send a signal to a Snakemake; one that ends it goes to its local jobs too."""
    if holder.host != platform.node():
        raise UserError(
            f"Snakemake runs on {holder.host or 'another machine'}; this is {platform.node()}, "
            "from where it cannot be stopped."
        )
    try:
        is_leader = os.getpgid(holder.pid) == holder.pid
        if is_leader and number is not signal.SIGTERM:
            os.killpg(holder.pid, number)
        else:
            os.kill(holder.pid, number)
    except ProcessLookupError:
        pass  # it has just ended


def _is_free(repo: Path) -> bool:
    """Wait until nobody runs a campaign on a repository."""
    ends = time.monotonic() + _PATIENCE_S
    while find_holder(repo) is not None:
        if time.monotonic() > ends:
            return False
        time.sleep(0.2)
    return True


@dataclass(slots=True)
class StageProgress:
    """How far a stage is.

    Attributes
    ----------
    n_chunks, n_made
        Its chunks, and those that have a manifest.
    is_paused
        Whether its jobs are held.
    jobs
        Its jobs by state, ``held`` among them.
    """

    n_chunks: int = 0
    n_made: int = 0
    is_paused: bool = False
    jobs: dict[str, int] = field(default_factory=dict)


def measure_progress(
    own: Own, chunks: Mapping[str, Mapping[str, Chunk]], jobs: Iterable[QueuedJob]
) -> dict[str, StageProgress]:
    """Count what is made and what is in the queue, stage by stage.

    Parameters
    ----------
    own
        The campaign.
    chunks
        Of its plan.
    jobs
        Its jobs.
    """
    paused = read_paused(own.repo)
    found: dict[str, StageProgress] = {}
    for stage, names in chunks.items():
        folder = manifest_path(own.repo, stage, "x").parent
        made = {path.stem for path in folder.glob("*.json")}
        found[stage] = StageProgress(len(names), len(made & set(names)), stage in paused)
    for job in jobs:
        counts = found.setdefault(job.stage, StageProgress()).jobs
        state = "held" if job.is_held else job.state.lower()
        counts[state] = counts.get(state, 0) + 1
    return found
