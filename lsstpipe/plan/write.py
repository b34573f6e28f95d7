"""Write a plan: ``plan.parquet``, ``datasets.parquet``, ``chunks.tsv`` and three small JSON files.

``plan.json`` is written last: a folder with a ``plan.json`` holds a whole plan. The key of the plan
is its digest, that of the settings, the selected datasets and the version of the format.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lsstpipe.config import Campaign
from lsstpipe.config.campaign import digest
from lsstpipe.data_model import DIMENSIONS
from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.errors import RepositoryError
from lsstpipe.plan.chunking import Chunking, all_dataset_ids, assign_chunks, make_chunks
from lsstpipe.plan.chunks import Chunk, write_chunks
from lsstpipe.plan.cost import expected_cpu_s, expected_memory_mb
from lsstpipe.plan.quanta import Quanta, data_ids
from lsstpipe.plan.rows import IndexArray

SCHEMA_VERSION = 1
_ID = pa.binary(16)
_ROW_GROUP = 20_000


def write_plan(folder: Path, quanta: Quanta, campaign: Campaign) -> dict[str, Any]:
    """Write a plan, file by file, each by rename.

    Parameters
    ----------
    folder
        Where.
    quanta
        All tasks and datasets.
    campaign
        The settings.

    Returns
    -------
    summary
        The content of ``plan.json``.
    """
    chunking = assign_chunks(quanta, campaign)
    chunks = make_chunks(quanta, campaign, chunking)
    summary = {
        "schema_version": SCHEMA_VERSION,
        "digest": digest([SCHEMA_VERSION, campaign.plain(), [c.digest for c in chunks]]),
        "campaign": campaign.name,
        "run": campaign.run,
        "repo": campaign.repo,
        "n_quanta": quanta.n_quanta,
        "n_datasets": quanta.n_datasets,
        "n_chunks": len(chunks),
        "notes": [asdict(item) for item in quanta.notes],
    }
    _invalidate(folder)
    write_atomically(folder / "campaign.json", _json(campaign.plain()))
    write_atomically(folder / "plan.parquet", _parquet(_quantum_table(quanta, chunking)))
    write_atomically(folder / "datasets.parquet", _parquet(_dataset_table(quanta, campaign)))
    skipped = [asdict(item) for item in quanta.skipped]
    write_atomically(folder / "skipped.json", _json(skipped))
    write_atomically(folder / "chunks.tsv", write_chunks(chunks).encode())
    write_atomically(folder / "plan.json", _json(summary))
    return summary


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


def _invalidate(folder: Path) -> None:
    """Take away the mark of a whole plan."""
    try:
        (folder / "plan.json").unlink(missing_ok=True)
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


def _quantum_table(quanta: Quanta, chunking: Chunking) -> pa.Table:
    """Make the table of quanta, in the order in which they run."""
    ids = all_dataset_ids(quanta)
    parts = []
    for task in quanta.tasks:
        n_rows = len(task.rows)
        own = chunking.chunk_of[task.start : task.start + n_rows]
        columns: dict[str, Any] = {
            "quantum_id": _id_array(task.ids),
            "stage": pa.array([task.stage.name] * n_rows),
            "task": pa.array([task.task.name] * n_rows),
            "chunk": pa.array([chunking.labels[i] for i in own.tolist()]),
            **_dimension_columns(task.rows.columns, task.task.dimensions, n_rows),
            "inputs": _id_lists(ids, task.inputs, task.input_offsets),
            "outputs": _id_lists(ids, task.outputs, task.output_offsets),
            "cpu_s": pa.array(np.full(n_rows, expected_cpu_s(task.task.name), np.float32)),
            "memory_mb": pa.array(np.full(n_rows, expected_memory_mb(task.task.name), np.float32)),
        }
        parts.append(pa.table(columns))
    if not parts:
        return pa.table({"stage": pa.array([], pa.string()), "chunk": pa.array([], pa.string())})
    return pa.concat_tables(parts).take(pa.array(chunking.order))


def _dataset_table(quanta: Quanta, campaign: Campaign) -> pa.Table:
    """Make the table of datasets."""
    parts = []
    for item in quanta.datasets:
        n_rows = len(item.rows)
        dimensions = item.dataset_type.dimensions
        exists = bool(item.records)
        records = item.records
        own = data_ids(item.rows, dimensions)
        columns = {
            "id": _id_array(item.ids),
            "type": pa.array([item.dataset_type.name] * n_rows),
            **_dimension_columns(item.rows.columns, dimensions, n_rows),
            "run": pa.array([r.run for r in records] if exists else [campaign.run] * n_rows),
            "path": pa.array(
                [r.path for r in records]
                if exists
                else [item.dataset_type.path(data_id, campaign.run) for data_id in own]
            ),
            "exists": pa.array(np.full(n_rows, exists)),
            "size": pa.array([r.size for r in records] if exists else [0] * n_rows, pa.int64()),
            "checksum": pa.array([r.checksum for r in records] if exists else [""] * n_rows),
        }
        parts.append(pa.table(columns))
    return pa.concat_tables(parts) if parts else pa.table({"id": pa.array([], _ID)})


def _dimension_columns(
    values: dict[str, Any], dimensions: tuple[str, ...], n_rows: int
) -> dict[str, Any]:
    """Make a column for every dimension; null where a data ID has none."""
    return {
        name: pa.array(values[name].tolist(), pa.int64() if kind is int else pa.string())
        if name in dimensions
        else pa.nulls(n_rows, pa.int64() if kind is int else pa.string())
        for name, kind in DIMENSIONS.items()
    }


def _id_array(ids: np.ndarray[Any, np.dtype[np.uint8]]) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(
        _ID, len(ids), [None, pa.py_buffer(np.ascontiguousarray(ids).tobytes())]
    )


def _id_lists(
    ids: np.ndarray[Any, np.dtype[np.uint8]], numbers: IndexArray, bounds: IndexArray
) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), _id_array(ids[numbers]))
