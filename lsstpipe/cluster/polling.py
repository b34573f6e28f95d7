"""How often Snakemake asks Slurm for its jobs, and what it makes of no answer and of lost nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from lsstpipe.errors import TemporaryError

LONGEST_INTERVAL = 3.0
"""Longest time between two looks, in units of the setting."""


def limit_interval(executor: Any) -> None:
    """Let an executor never look more rarely than three times as rarely as it was told to.

    The one for Slurm adds 10 s after each look at which no job had ended, up to 3 minutes: the next
    stage waits for that. One look asks once for all jobs, so it costs the same for any number.

    Parameters
    ----------
    executor
        Snakemake's; one that runs jobs here is left alone.
    """
    name = "next_seconds_between_status_checks"
    kind = type(executor)
    if not hasattr(kind, name):
        return
    own = getattr(kind, name)
    told_s = executor.workflow.remote_execution_settings.seconds_between_status_checks

    def get(self: Any) -> float:
        return float(min(own.fget(self), LONGEST_INTERVAL * told_s))

    executor.__class__ = type(kind.__name__, (kind,), {name: property(get, own.fset)})


class _Forgetful(set[str]):
    """A set that keeps nothing."""

    def add(self, element: str) -> None:
        """Forget it."""


def forgive_nodes(executor: Any) -> None:
    """Let an executor submit to nodes that were lost before.

    The one for Slurm excludes the name of each lost node from all later submissions, even where
    Slurm requeues: names of elastic nodes live on, and in the end there is none left.

    Parameters
    ----------
    executor
        Snakemake's; one that runs jobs here is left alone.
    """
    if hasattr(executor, "_failed_nodes"):
        executor._failed_nodes = _Forgetful()


def keep_jobs(executor: Any, find_cancelled: Callable[[str], AbstractSet[int]]) -> None:
    """Let an executor ask again for jobs that it got no answer about, but for those that have gone.

    The one for Slurm asks five times at once. Where slurmdbd is away for longer than that, it
    neither ends the jobs nor keeps them, and Snakemake waits for them for ever. It waits as long
    for a job that was cancelled before it could begin, such as one that was held: the accounts
    never hear of it, only slurmctld knows.

    Parameters
    ----------
    executor
        Snakemake's; one that runs jobs here is left alone.
    find_cancelled
        Gives the numbers of the cancelled jobs of a name.
    """
    kind = type(executor)
    if not hasattr(kind, "check_active_jobs"):
        return
    told: set[int] = set()

    def report_success(self: Any, job: Any) -> None:
        told.add(id(job))
        kind.report_job_success(self, job)

    def report_error(self: Any, job: Any, *arguments: Any, **more: Any) -> None:
        told.add(id(job))
        kind.report_job_error(self, job, *arguments, **more)

    async def check(self: Any, jobs: Sequence[Any]) -> AsyncIterator[Any]:
        told.clear()
        # Those that it keeps are those that it has told nothing of.
        async for _ in kind.check_active_jobs(self, jobs):
            pass
        left = [job for job in jobs if id(job) not in told]
        gone = await asyncio.to_thread(_ask, find_cancelled, self.run_uuid) if left else set()
        for job in left:
            if job.external_jobid in gone:
                self.report_job_error(job, msg=f"Job {job.external_jobid} was cancelled. ")
            else:
                yield job

    own = {
        "check_active_jobs": check,
        "report_job_success": report_success,
        "report_job_error": report_error,
    }
    executor.__class__ = type(kind.__name__, (kind,), own)


def _ask(find_cancelled: Callable[[str], AbstractSet[int]], name: str) -> set[str]:
    """Ask which jobs were cancelled; none where slurmctld is away, and it is asked again."""
    try:
        return {str(number) for number in find_cancelled(name)}
    except TemporaryError:
        return set()
