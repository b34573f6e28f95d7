"""Do something to many files at the same time, and stop at the first that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Advance = Callable[[str], None]
"""Called after each step with its name."""


def for_each(
    items: Sequence[Item], work: Callable[[Item], Result], jobs: int
) -> Iterator[tuple[Item, Result]]:
    """Do work on every item in threads, and give the results as they come.

    Work that waits for a disk or a network gains from threads. No more than twice as many items as
    threads are begun before their results are taken, so the memory does not grow with the items.

    Parameters
    ----------
    items
        What to work on.
    work
        What to do; the first error ends all.
    jobs
        How many at the same time.
    """
    remaining = iter(items)
    with ThreadPoolExecutor(jobs) as pool:
        begun: dict[Future[Result], Item] = {}
        try:
            while True:
                for item in islice(remaining, 2 * jobs - len(begun)):
                    begun[pool.submit(work, item)] = item
                if not begun:
                    return
                done, _ = wait(begun, return_when=FIRST_COMPLETED)
                for future in done:
                    yield begun.pop(future), future.result()
        finally:
            pool.shutdown(cancel_futures=True)
