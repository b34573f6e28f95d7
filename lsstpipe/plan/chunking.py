"""Cut the quanta of a plan into chunks, one job each, and find what each waits for."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lsstpipe.config import Campaign
from lsstpipe.config.campaign import digest_task
from lsstpipe.plan.chunks import Chunk
from lsstpipe.plan.cost import START_CPU_S, expected_cpu_s, expected_memory_mb, runtime_minutes
from lsstpipe.plan.quanta import PlannedTask, Quanta
from lsstpipe.plan.rows import IndexArray, Rows, encode
from lsstpipe.stages import Stage

WHOLE = "all"
"""Name of the chunk of a stage that runs as one."""


@dataclass(frozen=True, slots=True)
class Chunking:
    """Which quantum runs in which chunk, and when.

    Attributes
    ----------
    labels
        Name of each chunk.
    chunk_of
        Number of the chunk of each quantum.
    order
        Quanta in the order of the plan: by stage, chunk, then as they run.
    """

    labels: list[str]
    chunk_of: IndexArray
    order: IndexArray


def assign_chunks(quanta: Quanta, campaign: Campaign) -> Chunking:
    """Give each quantum its chunk.

    Parameters
    ----------
    quanta
        All tasks of the plan.
    campaign
        How many visits a chunk has.
    """
    labels: list[str] = []
    chunk_of = np.empty(quanta.n_quanta, dtype=np.int64)
    within = np.empty(quanta.n_quanta, dtype=np.int64)
    stages: dict[str, list[PlannedTask]] = defaultdict(list)
    for task in quanta.tasks:
        stages[task.stage.name].append(task)
    for tasks in stages.values():
        keys = _chunk_keys(tasks[0].stage, tasks)
        # What a chunk would be with one visit each keeps its place within a larger chunk.
        units, _ = encode(keys, None, tuple(keys.columns))
        names, numbers = _group(keys, campaign.visits_per_chunk)
        start = 0
        for task in tasks:
            span = slice(start, start + len(task.rows))
            own = slice(task.start, task.start + len(task.rows))
            chunk_of[own] = numbers[span] + len(labels)
            within[own] = units[span]
            start += len(task.rows)
        labels += names
    order = np.lexsort((np.arange(quanta.n_quanta), within, chunk_of))
    return Chunking(labels, chunk_of, order)


def make_chunks(quanta: Quanta, campaign: Campaign, chunking: Chunking) -> list[Chunk]:
    """Describe each chunk: what it waits for, takes, and depends on.

    Parameters
    ----------
    quanta
        All tasks of the plan.
    campaign
        The settings of the tasks.
    chunking
        Which quantum runs in which chunk.
    """
    n_chunks = len(chunking.labels)
    stage_of = [""] * n_chunks
    n_quanta = np.bincount(chunking.chunk_of, minlength=n_chunks)
    cpu_s = np.full(n_chunks, START_CPU_S)
    memory = np.zeros(n_chunks)
    for task in quanta.tasks:
        own = chunking.chunk_of[task.start : task.start + len(task.rows)]
        counts = np.bincount(own, minlength=n_chunks)
        for chunk in np.flatnonzero(counts).tolist():
            stage_of[chunk] = task.stage.name
        cpu_s += counts * expected_cpu_s(task.task.name)
        memory = np.maximum(memory, (counts > 0) * expected_memory_mb(task.task.name))
    upstream = _upstream(quanta, chunking)
    digests = _digests(quanta, campaign, chunking)
    return [
        Chunk(
            stage_of[i],
            chunking.labels[i],
            tuple((stage_of[j], chunking.labels[j]) for j in upstream[i]),
            int(n_quanta[i]),
            float(cpu_s[i]),
            int(memory[i]),
            runtime_minutes(float(cpu_s[i])),
            digests[i],
        )
        for i in range(n_chunks)
    ]


def _chunk_keys(stage: Stage, tasks: list[PlannedTask]) -> Rows:
    """Put the chunk dimensions of all quanta of a stage below one another."""
    n_rows = sum(len(task.rows) for task in tasks)
    columns = {
        name: np.concatenate([task.rows[name] for task in tasks]) for name in stage.chunk_dimensions
    }
    return Rows(columns, n_rows)


def _group(keys: Rows, visits_per_chunk: int) -> tuple[list[str], IndexArray]:
    """Name the chunks of a stage and give each quantum the number of its own."""
    columns = dict(keys.columns)
    last = {}
    if "visit" in columns and visits_per_chunk > 1:
        visits, numbers = np.unique(columns["visit"], return_inverse=True)
        first = numbers // visits_per_chunk * visits_per_chunk
        columns["visit"] = visits[first]
        ends = visits[np.minimum(first + visits_per_chunk, len(visits)) - 1]
        last = dict(zip(columns["visit"].tolist(), ends.tolist(), strict=True))
    grouped = Rows(columns, len(keys))
    names = tuple(columns)
    distinct = grouped.project(names)
    codes, _ = encode(grouped, None, names)
    labels = []
    for values in zip(*(distinct[name].tolist() for name in names), strict=True):
        parts = [
            f"{value}-{last[value]}"
            if name == "visit" and last.get(value, value) != value
            else value
            for name, value in zip(names, values, strict=True)
        ]
        labels.append("_".join(str(part).replace("/", "-").replace(" ", "-") for part in parts))
    return (labels if names else [WHOLE]), codes


def _upstream(quanta: Quanta, chunking: Chunking) -> list[list[int]]:
    """Find the chunks whose products each chunk reads."""
    producer = np.full(quanta.n_datasets, -1, dtype=np.int64)
    for datasets in quanta.datasets:
        producer[datasets.start : datasets.start + len(datasets.producers)] = datasets.producers
    upstream: list[list[int]] = [[] for _ in chunking.labels]
    pairs: list[npt.NDArray[np.int64]] = []
    for task in quanta.tasks:
        reader = np.repeat(np.arange(len(task.rows)) + task.start, np.diff(task.input_offsets))
        maker = producer[task.inputs]
        made = maker >= 0
        both = np.stack([chunking.chunk_of[reader[made]], chunking.chunk_of[maker[made]]], axis=1)
        pairs.append(np.unique(both[both[:, 0] != both[:, 1]], axis=0))
    for own, other in np.unique(np.concatenate(pairs), axis=0).tolist() if pairs else []:
        upstream[own].append(other)
    return upstream


def _digests(quanta: Quanta, campaign: Campaign, chunking: Chunking) -> list[str]:
    """Digest, for each chunk, its settings, quanta, and those inputs that no chunk makes."""
    checksums: dict[int, bytes] = {
        datasets.start + i: record.checksum.encode()
        for datasets in quanta.datasets
        for i, record in enumerate(datasets.records)
    }
    ids = all_dataset_ids(quanta)
    hashes = [hashlib.blake2b(digest_size=8) for _ in chunking.labels]
    for task in quanta.tasks:
        settings = digest_task(campaign.task(task.stage.name, task.task.name))
        made = {port.dataset_type.name for port in task.task.outputs}
        retained = sorted(made & {*task.stage.retained, *campaign.retain})
        head = f"{task.task.name} {settings} {','.join(retained)}".encode()
        bounds = task.input_offsets.tolist()
        seen: set[int] = set()
        for i in range(len(task.rows)):
            chunk = int(chunking.chunk_of[task.start + i])
            if chunk not in seen:
                seen.add(chunk)
                hashes[chunk].update(head)
            hashes[chunk].update(task.ids[i].tobytes())
            inputs = task.inputs[bounds[i] : bounds[i + 1]]
            hashes[chunk].update(ids[inputs].tobytes())
            hashes[chunk].update(b"".join(checksums.get(d, b"") for d in inputs.tolist()))
    return [item.hexdigest() for item in hashes]


def all_dataset_ids(quanta: Quanta) -> npt.NDArray[np.uint8]:
    """Put the ids of all datasets of a plan below one another, shape ``(n_datasets, 16)``."""
    if not quanta.datasets:
        return np.empty((0, 16), dtype=np.uint8)
    return np.concatenate([datasets.ids for datasets in quanta.datasets])
