"""The simulated queue against what can be worked out by hand."""

from __future__ import annotations

import pytest

from lsstpipe.plan.queue import Job, Machines, simulate


def test_equal_jobs_take_turns() -> None:
    usage = simulate([Job(10.0, 1.0)] * 7, [Machines(1, 3, 100.0, 36.0)])
    assert usage.wall_s == 30.0
    assert usage.usd == pytest.approx(0.3)
    assert usage.idle_share == pytest.approx(1 - 70 / 90)


def test_memory_bounds_what_runs_at_once() -> None:
    assert simulate([Job(10.0, 30.0)] * 4, [Machines(1, 8, 61.0, 1.0)]).wall_s == 20.0
    assert simulate([Job(10.0, 31.0)] * 4, [Machines(1, 8, 61.0, 1.0)]).wall_s == 40.0


def test_a_chain_is_as_long_as_the_sum() -> None:
    chain = [Job(1.0, 1.0), Job(2.0, 1.0, (0,)), Job(4.0, 1.0, (1,))]
    assert simulate(chain, [Machines(5, 4, 9.0, 1.0)]).wall_s == 7.0


def test_small_jobs_do_not_wait_behind_a_large_one_that_has_no_room() -> None:
    jobs = [Job(10.0, 8.0), Job(10.0, 8.0), Job(5.0, 1.0)]
    assert simulate(jobs, [Machines(1, 2, 9.0, 1.0)]).wall_s == 20.0


def test_machines_that_come_later_are_used_and_paid_for_from_then_on() -> None:
    jobs = [Job(10.0, 1.0), Job(10.0, 50.0, (0,))]
    fleet = [Machines(1, 1, 4.0, 3600.0, end_s=15.0), Machines(1, 1, 64.0, 3600.0, begin_s=20.0)]
    usage = simulate(jobs, fleet)
    assert usage.wall_s == 30.0
    assert usage.usd == pytest.approx(15.0 + 10.0)


def test_an_elastic_machine_goes_when_it_has_nothing_to_do() -> None:
    jobs = [Job(10.0, 1.0), Job(10.0, 1.0), Job(100.0, 1.0), Job(10.0, 1.0, (2,))]
    elastic = Machines(3, 1, 4.0, 3600.0, idle_s=5.0, boot_s=2.0)
    usage = simulate(jobs, [elastic])
    assert usage.wall_s == 2 + 100 + 2 + 10
    # Two machines: start, job, wait; one runs the last job too, after a new start.
    assert usage.usd == pytest.approx((2 + 10 + 5) * 2 + (2 + 10) + (2 + 100 + 5))


def test_a_job_that_fits_nowhere_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 jobs fit no machine"):
        simulate([Job(1.0, 10.0)], [Machines(1, 1, 9.0, 1.0)])
