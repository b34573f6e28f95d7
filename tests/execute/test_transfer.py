"""Work in threads: all of it, a bounded part at a time, and no more after an error."""

from __future__ import annotations

import threading
import time

import pytest

from lsstpipe.execute.transfer import for_each


@pytest.mark.parametrize("jobs", [1, 3, 50])
def test_every_item_has_its_result(jobs: int) -> None:
    assert sorted(for_each(range(20), lambda n: n * n, jobs)) == [(n, n * n) for n in range(20)]
    assert list(for_each([], lambda n: n, jobs)) == []


def test_jobs_run_at_the_same_time_and_not_more() -> None:
    together = threading.Barrier(4)
    running, most, lock = 0, 0, threading.Lock()

    def work(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(timeout=20)  # ends when four are here at once
        with lock:
            running -= 1

    assert len(list(for_each(range(16), work, 4))) == 16
    assert most == 4


def test_no_more_is_begun_than_is_taken() -> None:
    begun: list[int] = []
    results = for_each(range(1000), begun.append, 2)
    next(results)
    time.sleep(0.1)
    assert len(begun) <= 8
    results.close()


def test_the_first_error_ends_it_when_what_runs_has_ended() -> None:
    ended: list[int] = []

    def work(n: int) -> None:
        if n == 0:
            raise ZeroDivisionError
        time.sleep(0.05)
        ended.append(n)

    with pytest.raises(ZeroDivisionError):
        list(for_each(range(1000), work, 4))
    n_ended = len(ended)
    assert n_ended < 20
    time.sleep(0.2)
    assert len(ended) == n_ended
