"""Memory that a call allocates, without what the interpreter does beside it."""

import tracemalloc
from collections.abc import Callable

import numpy as np


def measure_peak(call: Callable[[np.ndarray], object], array: np.ndarray, n_calls: int = 3) -> int:
    """Measure the bytes that ``call`` has allocated at most, as the least of some calls.

    The call runs once before: what it compiles or loads is not its own. Of the others the least
    counts, since threads of other tests and the collector of garbage only ever add to one. Each
    gets a copy of ``array``, which it may write to.
    """
    call(array.copy())
    peaks = []
    for _ in range(n_calls):
        given = array.copy()
        tracemalloc.start()
        call(given)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return min(peaks)
