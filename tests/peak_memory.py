"""Memory that a call allocates, without what its process does beside it."""

import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np


def measure_peak(call: Callable[[np.ndarray], object], array: np.ndarray) -> int:
    """Measure the bytes that ``call`` has allocated at most beside ``array``.

    It runs in a fresh process: what is counted is all that a process allocates, and threads that
    other tests left in this one, or garbage that is collected meanwhile, would be counted too.
    ``call`` is a function of a module or a ``functools.partial`` of one.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.peak_memory"],
        input=pickle.dumps((call, array)),
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
        check=True,
    )
    return int(done.stdout)


def main() -> None:
    """Measure a second call: what the first compiles or loads is not the call's own."""
    call, array = pickle.load(sys.stdin.buffer)
    call(array.copy())
    tracemalloc.start()
    call(array)
    sys.stdout.write(str(tracemalloc.get_traced_memory()[1]))


if __name__ == "__main__":
    main()
