"""Memory of a job: keep what is freed for the next image instead of giving it back.

Each step on an image takes memory for its results and frees it soon. The C library of Linux gives
every block of this size back to the kernel, which must clear it again for the next: a quarter of
the processor time of a job. The size of an image hardly changes within a job, so what one step has
freed fits the next.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_KEPT_BYTES = 2**31 - 1
"""More than this is given back; the largest value that the library takes."""

_OBJECTS_BETWEEN_SEARCHES = 50_000
"""With Python's own 700 it searches a thousand times while the modules of a job are imported."""


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory; tell whether it will, as that of GNU does.

    See ``mallopt(3)``: blocks of any size are taken from the heap, which hardly ever shrinks.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _KEPT_BYTES))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)


@contextmanager
def rare_search_for_cycles() -> Iterator[None]:
    """Let Python search less often for objects that hold each other, and not at the end.

    The images of a job are freed at once when nothing names them any more. The search looks for
    other garbage and goes through all that the imported modules consist of; the last one, at the
    exit of the process, finds them all and takes them apart piece by piece.
    """
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_BETWEEN_SEARCHES, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.freeze()
