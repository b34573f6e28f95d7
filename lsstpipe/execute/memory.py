"""Memory of a job: keep what is freed for the next image instead of giving it back.

Each step on an image takes memory for its results and frees it soon. The C library of Linux gives
every block of this size back to the kernel, which must clear it again for the next: a quarter of
the processor time of a job. The size of an image hardly changes within a job, so what one step has
freed fits the next.
"""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_KEPT_BYTES = 2**31 - 1
"""More than this is given back; the largest value that the library takes."""


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory; tell whether it will, as that of GNU does.

    See ``mallopt(3)``: blocks of any size are taken from the heap, which hardly ever shrinks.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _KEPT_BYTES))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)
