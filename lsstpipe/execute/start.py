"""The start of a job: it does not wait for what it will not use."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from types import ModuleType


class _NotThere(MetaPathFinder):
    """Says of one package that it is not installed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """Refuse the package; leave all others to whom it may concern."""
        if fullname == self._name:
            raise ModuleNotFoundError(f"{fullname} is not loaded in a job", name=fullname)


@contextmanager
def without_pandas() -> Iterator[None]:
    """Keep pyarrow from loading pandas, as it does at the first column where that is installed.

    It takes half a second and 60 MB, and jobs make and read columns of numpy only. Pyarrow looks
    for it once, so this is for the process of a command, not for a library that others use.
    """
    finder = _NotThere("pandas")
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
