"""Cut the quanta of a plan into chunks, one job each, and find what each waits for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial

import numpy as np

from lsstpipe.config import Campaign
from lsstpipe.plan.blocks import Blocks, make_blocks, spell_range
from lsstpipe.plan.chunks import Chunk, runtime_minutes
from lsstpipe.plan.cost import START_CPU_S, ChunkSize, CostModel, chunk_size
from lsstpipe.plan.digests import digest_chunks
from lsstpipe.plan.quanta import PlannedTask, Quanta, take_lists
from lsstpipe.plan.rows import IndexArray, Rows, encode

DEFAULT = CostModel()
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
        The quanta that the plan is for, in its order: by stage, chunk, then as they run.
    """

    labels: list[str]
    chunk_of: IndexArray
    order: IndexArray


def assign_chunks(quanta: Quanta, campaign: Campaign, model: CostModel = DEFAULT) -> Chunking:
    """Give each quantum its chunk.

    Parameters
    ----------
    quanta
        All tasks of the plan.
    campaign
        How large chunks are.
    model
        What quanta take.
    """
    labels: list[str] = []
    chunk_of = np.empty(quanta.n_quanta, dtype=np.int64)
    within = np.empty(quanta.n_quanta, dtype=np.int64)
    stages: dict[str, list[PlannedTask]] = defaultdict(list)
    for task in quanta.tasks:
        stages[task.stage.name].append(task)
    for tasks in stages.values():
        size = chunk_size(tasks[0].stage, campaign, model)
        blocks = make_blocks(quanta.visits, size.visits)
        keys = _chunk_keys(tasks, size)
        # What a chunk would be with one visit each keeps its place within a larger chunk.
        units, _ = encode(keys, None, tuple(keys.columns))
        names, numbers = _group(keys, blocks, size)
        start = 0
        for task in tasks:
            span = slice(start, start + len(task.rows))
            own = slice(task.start, task.start + len(task.rows))
            chunk_of[own] = numbers[span] + len(labels)
            within[own] = units[span]
            start += len(task.rows)
        labels += names
    rows = [task.start + quanta.own_rows(task) for task in quanta.tasks]
    order = np.concatenate([np.empty(0, np.int64), *rows])
    order = order[np.lexsort((order, within[order], chunk_of[order]))]
    return Chunking(labels, chunk_of, order)


def make_chunks(
    quanta: Quanta, campaign: Campaign, chunking: Chunking, model: CostModel = DEFAULT
) -> list[Chunk]:
    """Describe each chunk that the plan is for: what it waits for, takes, and depends on.

    Parameters
    ----------
    quanta
        All tasks of the plan.
    campaign
        The settings of the tasks.
    chunking
        Which quantum runs in which chunk.
    model
        What quanta take.
    """
    n_chunks = len(chunking.labels)
    stage_of = np.zeros(n_chunks, dtype=np.int64)
    stages = list(dict.fromkeys(task.stage.name for task in quanta.tasks))
    n_quanta = np.zeros(n_chunks, dtype=np.int64)
    cpu_s = np.full(n_chunks, START_CPU_S)
    memory = np.zeros(n_chunks)
    for task in quanta.tasks:
        chunk_of = chunking.chunk_of[task.start : task.start + len(task.rows)]
        stage_of[chunk_of] = stages.index(task.stage.name)
        own = quanta.own_rows(task)
        counts = np.bincount(chunk_of[own], minlength=n_chunks)
        n_quanta += counts
        cost = model.of(task.task.name)
        cpu_s += counts * cost.cpu_s
        n_inputs = np.diff(task.input_offsets)[own]
        np.maximum.at(memory, chunk_of[own], model.memory_mb(task.task.name, n_inputs))
    names = [
        (stages[i], label) for i, label in zip(stage_of.tolist(), chunking.labels, strict=True)
    ]
    upstream = _upstream(quanta, chunking)
    digests = digest_chunks(quanta, campaign, chunking)
    return [
        Chunk(
            *names[i],
            tuple(names[j] for j in upstream.get(i, ())),
            int(n_quanta[i]),
            float(cpu_s[i]),
            int(memory[i]),
            runtime_minutes(float(cpu_s[i])),
            digests[i],
        )
        for i in np.flatnonzero(n_quanta).tolist()
    ]


def _chunk_keys(tasks: list[PlannedTask], size: ChunkSize) -> Rows:
    """Put what tells the chunks of a stage apart below one another, task after task."""
    n_rows = sum(len(task.rows) for task in tasks)
    names = [*tasks[0].stage.chunk_dimensions]
    names += ["detector"] if size.detector_bits >= 0 else []
    columns = {name: np.concatenate([task.rows[name] for task in tasks]) for name in names}
    if size.detector_bits >= 0:
        columns["detector"] >>= size.detector_bits
    return Rows(columns, n_rows)


def _group(keys: Rows, blocks: Blocks, size: ChunkSize) -> tuple[list[str], IndexArray]:
    """Name the chunks of a stage and give each quantum the number of its own."""
    columns = dict(keys.columns)
    block_names: dict[int, str] = {}
    if "visit" in columns:
        columns["visit"] = blocks.first(columns["visit"])
        block_names = blocks.names()
    grouped = Rows(columns, len(keys))
    names = tuple(columns)
    if not names:
        return [WHOLE], np.zeros(len(keys), dtype=np.int64)
    distinct = grouped.project(names)
    codes, _ = encode(grouped, None, names)
    spell = {"visit": block_names.__getitem__}
    if size.detector_bits >= 0:
        spell["detector"] = partial(spell_range, bits=size.detector_bits)
    parts = [[spell.get(name, _plain)(v) for v in distinct[name].tolist()] for name in names]
    return ["_".join(values) for values in zip(*parts, strict=True)], codes


def _plain(value: object) -> str:
    """Spell a value as a file name can hold it."""
    return str(value).replace("/", "-").replace(" ", "-")


def _upstream(quanta: Quanta, chunking: Chunking) -> dict[int, list[int]]:
    """Find the chunks whose products each chunk reads."""
    producer = np.full(quanta.n_datasets, -1, dtype=np.int64)
    for datasets in quanta.datasets:
        producer[datasets.start : datasets.start + len(datasets.producers)] = datasets.producers
    n_chunks = len(chunking.labels)
    pairs = [np.empty(0, np.int64)]
    for task in quanta.tasks:
        rows = quanta.own_rows(task)
        inputs, bounds = take_lists(task.inputs, task.input_offsets, rows)
        reader = np.repeat(chunking.chunk_of[task.start + rows], np.diff(bounds))
        made = producer[inputs] >= 0
        reader, maker = reader[made], chunking.chunk_of[producer[inputs[made]]]
        pairs.append(np.unique((reader * n_chunks + maker)[reader != maker]))
    upstream: dict[int, list[int]] = defaultdict(list)
    for pair in np.unique(np.concatenate(pairs)).tolist():
        upstream[pair // n_chunks].append(pair % n_chunks)
    return upstream
