"""Digests of chunks: they change with what a chunk depends on, and with nothing else."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lsstpipe.config import Campaign
from lsstpipe.config.campaign import digest_task
from lsstpipe.plan.quanta import PlannedTask, Quanta, take_lists

if TYPE_CHECKING:
    from lsstpipe.plan.chunking import Chunking


def digest_chunks(quanta: Quanta, campaign: Campaign, chunking: Chunking) -> dict[int, str]:
    """Digest, for each chunk, its settings, quanta, and those inputs that no chunk makes.

    Parameters
    ----------
    quanta
        All tasks of the plan.
    campaign
        The settings of the tasks.
    chunking
        Which quantum runs in which chunk.

    Returns
    -------
    digests
        By number of the chunk, for those that the plan is for.
    """
    quantum_ids, dataset_ids = quanta.ids()
    checksums = _checksums(quanta)
    hashes: dict[int, hashlib.blake2b] = {}
    for task in quanta.tasks:
        head = _head(task, campaign)
        rows = quanta.own_rows(task)
        if len(rows) == 0:
            continue
        chunk_of = chunking.chunk_of[task.start + rows]
        order = np.argsort(chunk_of, kind="stable")
        rows, chunk_of = rows[order], chunk_of[order]
        inputs, bounds = take_lists(task.inputs, task.input_offsets, rows)
        # What belongs to a chunk lies together, so that it is hashed at once.
        first = np.flatnonzero(np.diff(chunk_of, prepend=-1))
        ends = [*first[1:].tolist(), len(rows)]
        of_quanta: tuple[npt.NDArray[Any], ...] = (quantum_ids[task.start + rows], np.diff(bounds))
        of_inputs: tuple[npt.NDArray[Any], ...] = (dataset_ids[inputs], checksums[inputs])
        for chunk, i, j in zip(chunk_of[first].tolist(), first.tolist(), ends, strict=True):
            value = hashes.setdefault(chunk, hashlib.blake2b(digest_size=8))
            value.update(head)
            for part in of_quanta:
                value.update(part[i:j].tobytes())
            for part in of_inputs:
                value.update(part[bounds[i] : bounds[j]].tobytes())
    return {chunk: value.hexdigest() for chunk, value in hashes.items()}


def _checksums(quanta: Quanta) -> npt.NDArray[np.uint64]:
    """Give a number for the bytes of each dataset that exists, 0 for one that will be made."""
    numbers = np.zeros(quanta.n_datasets, dtype=np.uint64)
    named = quanta.named_datasets()
    for datasets in quanta.datasets:
        if datasets.records:
            rows = np.flatnonzero(named[datasets.start : datasets.start + len(datasets.rows)])
            hashed = b"".join(
                hashlib.blake2b(datasets.records[i].checksum.encode(), digest_size=8).digest()
                for i in rows.tolist()
            )
            numbers[datasets.start + rows] = np.frombuffer(hashed, dtype="<u8")
    return numbers


def _head(task: PlannedTask, campaign: Campaign) -> bytes:
    """Spell the settings of a task, and which of its products are kept."""
    settings = digest_task(campaign.task(task.stage.name, task.task.name))
    made = {port.dataset_type.name for port in task.task.outputs}
    retained = sorted(made & {*task.stage.retained, *campaign.retain})
    return f"{task.task.name} {settings} {','.join(retained)}".encode()
