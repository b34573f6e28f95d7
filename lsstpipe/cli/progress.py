"""A progress bar on the standard error, where there is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[str], None]


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Advance]:
    """Show how far a long work is.

    Parameters
    ----------
    title
        What is being done.
    total
        How many steps it has.

    Yields
    ------
    advance
        To be called after each step with its name.
    """
    if not sys.stderr.isatty():
        # A job of the workflow shows nothing, and need not import what draws.
        yield lambda step: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[step]}"),
        console=Console(file=sys.stderr),
    )
    with bar:
        task = bar.add_task(title, total=total, step="")

        def advance(step: str) -> None:
            bar.update(task, advance=1, step=step)

        yield advance
