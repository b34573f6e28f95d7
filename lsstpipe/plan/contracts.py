"""What holds of every plan: checked before it is written, because a job cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lsstpipe.plan.chunks import Chunk
from lsstpipe.plan.quanta import Quanta


def check_quanta(quanta: Quanta) -> None:
    """Check that every input is there when it is read, and that nothing is made twice.

    Parameters
    ----------
    quanta
        All tasks and datasets of a plan, or of a shard.

    Raises
    ------
    ValueError
        If a quantum reads what neither exists nor is made by an earlier one, or makes what
        another one makes.
    """
    producer = np.full(quanta.n_datasets, -1, dtype=np.int64)
    exists = np.zeros(quanta.n_datasets, dtype=np.bool_)
    for item in quanta.datasets:
        own = slice(item.start, item.start + len(item.rows))
        producer[own] = item.producers
        exists[own] = len(item.records) > 0
    n_makers = np.zeros(quanta.n_datasets, dtype=np.int64)
    for task in quanta.tasks:
        name = f"{task.stage.name}.{task.task.name}"
        reader = task.start + np.repeat(np.arange(len(task.rows)), np.diff(task.input_offsets))
        made = producer[task.inputs]
        early = exists[task.inputs] | ((made >= 0) & (made < reader))
        if not early.all():
            raise ValueError(f"{int((~early).sum())} inputs of {name} are not there when it runs")
        np.add.at(n_makers, task.outputs, 1)
        maker = task.start + np.repeat(np.arange(len(task.rows)), np.diff(task.output_offsets))
        if np.any(exists[task.outputs]) or np.any(producer[task.outputs] != maker):
            raise ValueError(f"{name} makes datasets that exist or that another quantum makes")
    if np.any(n_makers > 1):
        raise ValueError(f"{int((n_makers > 1).sum())} datasets are made twice")


def check_chunks(chunks: Sequence[Chunk]) -> None:
    """Check that no two chunks share a name and that each can run after those it waits for.

    Parameters
    ----------
    chunks
        All chunks of a plan.

    Raises
    ------
    ValueError
        If two have one name, one waits for a chunk that there is not, or some wait in a circle.
    """
    missing = {(chunk.stage, chunk.name): len(chunk.upstream) for chunk in chunks}
    if len(missing) < len(chunks):
        names = Counter((chunk.stage, chunk.name) for chunk in chunks)
        twice = "/".join(next(name for name, count in names.items() if count > 1))
        raise ValueError(f"there are two chunks {twice}")
    waiting: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for chunk in chunks:
        for other in chunk.upstream:
            if other not in missing:
                raise ValueError(
                    f"chunk {chunk.stage}/{chunk.name} waits for {'/'.join(other)}, which there "
                    "is not"
                )
            waiting.setdefault(other, []).append((chunk.stage, chunk.name))
    ready = [name for name, count in missing.items() if count == 0]
    n_run = 0
    while ready:
        n_run += 1
        for name in waiting.get(ready.pop(), ()):
            missing[name] -= 1
            if missing[name] == 0:
                ready.append(name)
    if n_run < len(chunks):
        circle = next("/".join(name) for name, count in missing.items() if count)
        raise ValueError(f"{len(chunks) - n_run} chunks wait in a circle, {circle} among them")
