"""Snakemake's own executor for Slurm, held to an interval."""

from __future__ import annotations

from types import SimpleNamespace

from snakemake_executor_plugin_slurm import Executor

from lsstpipe.cluster.polling import forgive_nodes, limit_interval


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


def test_an_executor_that_runs_jobs_here_is_left_alone() -> None:
    executor = SimpleNamespace()
    limit_interval(executor)
    forgive_nodes(executor)
    assert type(executor) is SimpleNamespace
