"""Snakemake's own executor for Slurm, held to an interval."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import snakemake_executor_plugin_slurm
from snakemake_executor_plugin_slurm import Executor
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from lsstpipe.cluster.polling import forgive_nodes, keep_jobs, limit_interval
from lsstpipe.errors import TemporaryError


def test_the_interval_grows_no_longer_than_three_times_what_was_set() -> None:
    executor = Executor.__new__(Executor)
    settings = SimpleNamespace(seconds_between_status_checks=10)
    executor.workflow = SimpleNamespace(remote_execution_settings=settings)
    executor._next_seconds_between_status_checks = None
    limit_interval(executor)
    assert isinstance(executor, Executor)
    seen = []
    for _ in range(5):
        seen.append(executor.next_seconds_between_status_checks)
        # As the executor does after a look at which no job had ended.
        executor.next_seconds_between_status_checks += 10
    assert seen == [10, 20, 30, 30, 30]


def test_a_lost_node_is_not_excluded_for_ever() -> None:
    executor = Executor.__new__(Executor)
    executor._failed_nodes = set()
    forgive_nodes(executor)
    executor._failed_nodes.add("spot-1")
    assert not executor._failed_nodes


class Unlimited:
    """Lets everybody through at once."""

    async def __aenter__(self) -> None:
        """Wait for nothing."""

    async def __aexit__(self, *error: object) -> None:
        """Give nothing back."""


def look(executor: Any, jobs: list[Any]) -> list[Any]:
    """Let an executor look once; give the jobs that it keeps."""

    async def kept() -> list[Any]:
        return [job async for job in executor.check_active_jobs(jobs)]

    return asyncio.run(kept())


def test_jobs_are_kept_while_the_accounting_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Executor.__new__(Executor)
    own = SimpleNamespace(status_attempts=5, init_seconds_before_status_checks=1)
    executor.workflow = SimpleNamespace(executor_settings=own)
    executor.logger = logging.getLogger("test")
    executor.run_uuid = "demo"
    executor._status_query_failures = executor._status_query_calls = 0
    monkeypatch.setattr(Executor, "get_status_command", lambda self: "sacct")
    monkeypatch.setattr(Executor, "status_rate_limiter", Unlimited(), raising=False)
    asked: list[str] = []

    async def fail(command: str, logger: Any) -> tuple[None, None]:
        asked.append(command)
        return None, None

    monkeypatch.setattr(snakemake_executor_plugin_slurm, "query_job_status", fail)
    jobs = [SubmittedJobInfo(SimpleNamespace(), str(n)) for n in (7, 8)]
    assert look(executor, jobs) == [], "what is mended; if not, the mending may go"
    keep_jobs(executor, lambda name: set())
    assert look(executor, jobs) == jobs
    assert len(asked) == 10


@dataclass(frozen=True)
class Job:
    """A job: its number, and what the accounts say."""

    external_jobid: str
    said: str = ""


class Answered:
    """An executor that the accounts answer."""

    run_uuid = "demo-1"

    def __init__(self) -> None:
        self.done: list[str] = []

    async def check_active_jobs(self, jobs: list[Job]) -> AsyncIterator[Job]:
        for job in jobs:
            if job.said == "done":
                self.report_job_success(job)
            elif job.said == "failed":
                self.report_job_error(job, msg="it failed")
            else:
                yield job

    def report_job_success(self, job: Job) -> None:
        self.done.append(job.external_jobid)

    def report_job_error(self, job: Job, msg: str) -> None:
        self.done.append(f"{job.external_jobid}: {msg}")


def test_jobs_that_have_ended_are_not_kept() -> None:
    executor = Answered()
    keep_jobs(executor, lambda name: set())
    done, runs, failed = Job("1", "done"), Job("2", "runs"), Job("3", "failed")
    assert look(executor, [done, runs, failed]) == [runs]
    assert executor.done == ["1", "3: it failed"]
    assert look(executor, [runs]) == [runs]


def test_a_job_that_was_cancelled_before_the_accounts_knew_it_is_not_waited_for() -> None:
    executor = Answered()
    answers: list[set[int] | None] = [None, {7, 9}]
    asked: list[str] = []

    def find(name: str) -> set[int]:
        asked.append(name)
        if (answer := answers.pop(0)) is None:
            raise TemporaryError("squeue failed")
        return answer

    keep_jobs(executor, find)
    held, waits = Job("7"), Job("8")
    assert look(executor, [held, waits]) == [held, waits], "slurmctld is away"
    assert look(executor, [held, waits]) == [waits]
    assert executor.done == ["7: Job 7 was cancelled. "]
    assert look(executor, [Job("9", "done")]) == [], "nobody is asked where nothing is left"
    assert asked == ["demo-1", "demo-1"]


def test_an_executor_that_runs_jobs_here_is_left_alone() -> None:
    executor = SimpleNamespace()
    limit_interval(executor)
    keep_jobs(executor, lambda name: set())
    forgive_nodes(executor)
    assert type(executor) is SimpleNamespace
