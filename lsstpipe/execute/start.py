"""The start of a job: it does not wait for what it will not use."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_pandas() -> Iterator[None]:
    """Keep pyarrow from loading pandas, as it does at the first column where that is installed.

    It takes half a second and 60 MB, and jobs make and read columns of numpy only. Pyarrow looks for
    it once, so this is for the process of a command, not for a library that others use.
    """
    if "pandas" in sys.modules:
        yield
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]  # the language's way to say: not there
    try:
        yield
    finally:
        del sys.modules["pandas"]
