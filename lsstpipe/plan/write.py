"""Write a plan: ``plan.parquet``, ``datasets.parquet``, ``chunks.tsv`` and three small JSON files.

A plan in shards has the two tables once for each shard, in folders below ``shards``.

``plan.json`` is written last but for an empty mark for the workflow: a folder with a ``plan.json``
holds a whole plan. The key of the plan is its digest, that of the settings, the selected datasets
and the version of the format.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lsstpipe.config import Campaign
from lsstpipe.config.campaign import digest
from lsstpipe.data_model import DIMENSIONS
from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.errors import RepositoryError
from lsstpipe.plan.chunking import DEFAULT, Chunking, assign_chunks, make_chunks
from lsstpipe.plan.chunks import Chunk, write_chunks
from lsstpipe.plan.contracts import check_chunks, check_quanta
from lsstpipe.plan.cost import CostModel
from lsstpipe.plan.layout import SCHEMA_VERSION, SHARDS, planned_path, table_folder
from lsstpipe.plan.quanta import Note, PlannedDatasets, Quanta, Skipped, take_lists
from lsstpipe.plan.rows import IndexArray, Rows

_Counted = TypeVar("_Counted", Skipped, Note)
_ID = pa.binary(16)
_ROW_GROUP = 20_000


@dataclass(frozen=True, slots=True)
class Part:
    """What the tables of a plan, or of one shard of it, hold.

    Attributes
    ----------
    chunks
        In the order of the plan.
    n_datasets
        How many datasets its quanta make.
    tasks
        Names of the tasks that have quanta.
    skipped, notes
        What was left out or decided, and why.
    """

    chunks: list[Chunk]
    tasks: set[str]
    n_datasets: int
    skipped: list[Skipped]
    notes: list[Note]


def write_plan(
    folder: Path, quanta: Quanta, campaign: Campaign, model: CostModel = DEFAULT
) -> dict[str, Any]:
    """Write a plan, file by file, each by rename.

    Parameters
    ----------
    folder
        Where.
    quanta
        All tasks and datasets.
    campaign
        The settings.
    model
        What quanta take.

    Returns
    -------
    summary
        The content of ``plan.json``.
    """
    invalidate(folder)
    return write_summary(folder, campaign, [write_part(folder, quanta, campaign, model)])


def write_part(
    folder: Path, quanta: Quanta, campaign: Campaign, model: CostModel, shard: str = ""
) -> Part:
    """Write the tables of a plan or of a shard.

    Parameters
    ----------
    folder
        Of the plan.
    quanta, campaign, model
        As for `write_plan`.
    shard
        Name of the shard; empty for the whole plan.
    """
    check_quanta(quanta)
    chunking = assign_chunks(quanta, campaign, model)
    chunks = make_chunks(quanta, campaign, chunking, model)
    own = table_folder(folder, shard)
    write_atomically(own / "plan.parquet", _parquet(_quantum_table(quanta, chunking, model)))
    write_atomically(own / "datasets.parquet", _parquet(_dataset_table(quanta)))
    n_datasets = sum(
        int(np.diff(task.output_offsets)[quanta.own_rows(task)].sum()) for task in quanta.tasks
    )
    named = [replace(chunk, shard=shard) for chunk in chunks]
    tasks = {task.task.name for task in quanta.tasks if len(quanta.own_rows(task))}
    return Part(named, tasks, n_datasets, quanta.skipped, quanta.notes)


def write_summary(folder: Path, campaign: Campaign, parts: Sequence[Part]) -> dict[str, Any]:
    """Write what a plan has besides its tables: with it the plan is whole.

    Parameters
    ----------
    folder
        Of the plan.
    campaign
        The settings.
    parts
        The plan, or its shards.

    Returns
    -------
    summary
        The content of ``plan.json``.
    """
    stages = [name for name, _ in campaign]
    chunks = sorted((c for part in parts for c in part.chunks), key=lambda c: stages.index(c.stage))
    check_chunks(chunks)
    notes = _add_up(note for part in parts for note in part.notes)
    # What has nothing to do in one shard may have something in another.
    busy = {task for part in parts for task in part.tasks}
    skipped = _add_up(
        item for part in parts for item in part.skipped if item.n_quanta or item.task not in busy
    )
    summary = {
        "schema_version": SCHEMA_VERSION,
        "digest": digest([SCHEMA_VERSION, campaign.plain(), [c.digest for c in chunks]]),
        "campaign": campaign.name,
        "run": campaign.run,
        "repo": campaign.repo,
        "n_quanta": sum(chunk.n_quanta for chunk in chunks),
        "n_datasets": sum(part.n_datasets for part in parts),
        "n_chunks": len(chunks),
        "n_shards": len(parts),
        "cpu_h": round(sum(chunk.cpu_s for chunk in chunks) / 3600.0, 2),
        "notes": [asdict(note) for note in notes],
    }
    write_atomically(folder / "campaign.json", _json(campaign.plain()))
    write_atomically(folder / "skipped.json", _json([asdict(item) for item in skipped]))
    write_atomically(folder / "chunks.tsv", write_chunks(chunks).encode())
    write_atomically(folder / "plan.json", _json(summary))
    mark_planned(folder)
    return summary


def mark_planned(folder: Path) -> None:
    """Say to the workflow that a plan is the one that is wanted.

    Parameters
    ----------
    folder
        Of the plan.
    """
    write_atomically(planned_path(folder), b"")


def _add_up(items: Iterable[_Counted]) -> list[_Counted]:
    """Make one of those that differ in nothing but their numbers."""
    counts: dict[_Counted, int] = {}
    for item in items:
        key = replace(item, n_quanta=0)
        counts[key] = counts.get(key, 0) + item.n_quanta
    return [replace(key, n_quanta=n) for key, n in counts.items()]


def count_by_stage(chunks: Sequence[Chunk]) -> dict[str, tuple[int, int]]:
    """Count chunks and quanta by stage.

    Parameters
    ----------
    chunks
        The chunks of a plan.
    """
    counts: dict[str, tuple[int, int]] = {}
    for chunk in chunks:
        n_chunks, n_quanta = counts.get(chunk.stage, (0, 0))
        counts[chunk.stage] = (n_chunks + 1, n_quanta + chunk.n_quanta)
    return counts


def invalidate(folder: Path) -> None:
    """Take away the mark of a whole plan, and the tables of the plan that was there.

    Raises
    ------
    RepositoryError
        If they cannot be taken away.
    """
    try:
        planned_path(folder).unlink(missing_ok=True)
        (folder / "plan.json").unlink(missing_ok=True)
        for name in ("plan.parquet", "datasets.parquet"):
            (folder / name).unlink(missing_ok=True)
        if (folder / SHARDS).exists():
            shutil.rmtree(folder / SHARDS)
    except OSError as error:
        raise RepositoryError(
            f"The plan in {folder} cannot be renewed: {error.strerror}."
        ) from error


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=_ROW_GROUP)
    return sink.getvalue()


def _quantum_table(quanta: Quanta, chunking: Chunking, model: CostModel) -> pa.Table:
    """Make the table of quanta, in the order in which they run."""
    quantum_ids, ids = quanta.ids()
    place = np.empty(quanta.n_quanta, dtype=np.int64)
    place[chunking.order] = np.arange(len(chunking.order))
    labels = pa.array(chunking.labels, pa.string())
    parts, places = [], []
    for task in quanta.tasks:
        taken = quanta.own_rows(task)
        rows, cost = task.rows.take(taken), model.of(task.task.name)
        n_rows, n_inputs = len(rows), np.diff(task.input_offsets)[taken]
        chunk_of = pa.array(chunking.chunk_of[task.start + taken], pa.int32())
        columns: dict[str, Any] = {
            "quantum_id": _id_array(quantum_ids[task.start + taken]),
            "stage": _same(task.stage.name, n_rows),
            "task": _same(task.task.name, n_rows),
            "chunk": pa.DictionaryArray.from_arrays(chunk_of, labels),
            **_dimension_columns(rows.columns, task.task.dimensions, n_rows),
            "inputs": _id_lists(ids, *take_lists(task.inputs, task.input_offsets, taken)),
            "outputs": _id_lists(ids, *take_lists(task.outputs, task.output_offsets, taken)),
            "cpu_s": pa.array(np.full(n_rows, cost.cpu_s, np.float32)),
            "memory_mb": pa.array(model.memory_mb(task.task.name, n_inputs).astype(np.float32)),
        }
        parts.append(pa.table(columns))
        places.append(place[task.start + taken])
    if not parts:
        return pa.table({"stage": pa.array([], pa.string()), "chunk": pa.array([], pa.string())})
    return pa.concat_tables(parts).take(pa.array(np.argsort(np.concatenate(places))))


def _dataset_table(quanta: Quanta) -> pa.Table:
    """Make the table of the datasets that quanta name."""
    _, ids = quanta.ids()
    named = quanta.named_datasets()
    parts = []
    for item in quanta.datasets:
        taken = np.flatnonzero(named[item.start : item.start + len(item.rows)])
        rows, dimensions = item.rows.take(taken), item.dataset_type.dimensions
        n_rows = len(rows)
        columns = {
            "id": _id_array(ids[item.start + taken]),
            "type": _same(item.dataset_type.name, n_rows),
            **_dimension_columns(rows.columns, dimensions, n_rows),
            **(_known(item, taken) if item.records else _expected(item, rows)),
        }
        parts.append(pa.table(columns))
    return pa.concat_tables(parts) if parts else pa.table({"id": pa.array([], _ID)})


def _known(item: PlannedDatasets, taken: IndexArray) -> dict[str, pa.Array]:
    """Make the columns of datasets that exist."""
    records = [item.records[i] for i in taken.tolist()]
    return {
        "run": pa.array([r.run for r in records], pa.string()).dictionary_encode(),
        "path": pa.array([r.path for r in records], pa.string()),
        "exists": pa.array(np.ones(len(records), np.bool_)),
        "size": pa.array([r.size for r in records], pa.int64()),
        "checksum": pa.array([r.checksum for r in records], pa.string()),
        "header": pa.array([_header(item, i) for i in taken.tolist()], pa.string()),
    }


def _header(item: PlannedDatasets, number: int) -> str | None:
    """Spell what the header of a raw says, so that no job has to translate it."""
    return json.dumps(item.infos[number].to_json_dict()) if len(item.infos) else None


def _expected(item: PlannedDatasets, rows: Rows) -> dict[str, pa.Array]:
    """Make the columns of datasets that a quantum will make."""
    n_rows, kind = len(rows), item.dataset_type
    columns = [rows[name].tolist() for name in DIMENSIONS if name in kind.dimensions]
    return {
        "run": _same(item.run, n_rows),
        "path": pa.array(kind.paths(columns, item.run, n_rows), pa.string()),
        "exists": pa.array(np.zeros(n_rows, np.bool_)),
        "size": pa.array(np.zeros(n_rows, np.int64)),
        "checksum": pa.array([""] * n_rows, pa.string()),
        "header": pa.nulls(n_rows, pa.string()),
    }


def _dimension_columns(
    values: dict[str, Any], dimensions: tuple[str, ...], n_rows: int
) -> dict[str, Any]:
    """Make a column for every dimension; null where a data ID has none."""
    columns = {}
    for name, kind in DIMENSIONS.items():
        typed = pa.int64() if kind is int else pa.string()
        column = pa.array(values[name], typed) if name in dimensions else pa.nulls(n_rows, typed)
        columns[name] = column if kind is int else column.dictionary_encode()
    return columns


def _same(text: str, n_rows: int) -> pa.DictionaryArray:
    """Make a column of one text."""
    return pa.DictionaryArray.from_arrays(np.zeros(n_rows, np.int32), pa.array([text]))


def _id_array(ids: np.ndarray[Any, np.dtype[np.uint8]]) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(
        _ID, len(ids), [None, pa.py_buffer(np.ascontiguousarray(ids).tobytes())]
    )


def _id_lists(
    ids: np.ndarray[Any, np.dtype[np.uint8]], numbers: IndexArray, bounds: IndexArray
) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), _id_array(ids[numbers]))
