"""Read of a plan what one job needs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lsstpipe.config import Campaign, parse_campaign
from lsstpipe.config.campaign import Stages
from lsstpipe.data_model import DIMENSIONS, DataId, DatasetRef
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.errors import RepositoryError, UserError
from lsstpipe.image.exposure import ObservationInfo
from lsstpipe.plan.chunks import Chunk, read_chunks
from lsstpipe.plan.layout import SCHEMA_VERSION, table_folder
from lsstpipe.stages import STAGES


@dataclass(frozen=True, slots=True)
class PlannedDataset:
    """A dataset of the plan; path, size and checksum are known where it existed before.

    Of a raw ``info`` is what its header says, if somebody has read it.
    """

    ref: DatasetRef
    path: str
    exists: bool
    size: int
    checksum: str
    info: ObservationInfo | None = None


@dataclass(frozen=True, slots=True)
class PlannedQuantum:
    """A quantum of the plan."""

    id: uuid.UUID
    task: str
    data_id: DataId
    inputs: tuple[uuid.UUID, ...]
    outputs: tuple[uuid.UUID, ...]


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """What a job runs: its quanta in order, and the datasets that they name."""

    chunk: Chunk
    quanta: tuple[PlannedQuantum, ...]
    datasets: dict[uuid.UUID, PlannedDataset]


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan on disk."""

    folder: Path
    digest: str
    campaign: Campaign
    chunks: dict[str, dict[str, Chunk]]

    def find_chunk(self, stage: str, name: str) -> Chunk:
        """Look up a chunk.

        Raises
        ------
        UserError
            If the plan has none of that stage and name.
        """
        chunks = self.chunks.get(stage, {})
        if name not in chunks:
            some = ", ".join(list(chunks)[:5]) or "none"
            raise UserError(f"The plan has no chunk '{name}' of stage {stage}; it has {some} ...")
        return chunks[name]


def open_plan(folder: str | Path, stages: Stages = STAGES, only: str | None = None) -> Plan:
    """Open a plan.

    Parameters
    ----------
    folder
        Where it is.
    stages
        The table of stages.
    only
        The one stage whose tasks are wanted, empty for none: a job imports no others.

    Raises
    ------
    RepositoryError
        If there is no whole plan, or it is of another version.
    """
    folder = Path(folder)
    try:
        summary = json.loads((folder / "plan.json").read_text())
        campaign = json.loads((folder / "campaign.json").read_text())
        chunks = read_chunks(folder / "chunks.tsv")
    except OSError:
        raise RepositoryError(f"{folder} holds no plan; `lsstpipe plan` makes one.") from None
    if summary["schema_version"] != SCHEMA_VERSION:
        raise RepositoryError(
            f"The plan in {folder} has version {summary['schema_version']}, this lsstpipe reads "
            f"version {SCHEMA_VERSION}; make it anew with `lsstpipe plan`."
        )
    settings = parse_campaign(_reduce(campaign, stages, only), stages, only)
    return Plan(folder, summary["digest"], settings, chunks)


def _reduce(campaign: dict[str, Any], stages: Stages, only: str | None) -> dict[str, Any]:
    """Leave out the settings of the tasks of other stages."""
    if only is None:
        return campaign
    return {
        name: {k: v for k, v in value.items() if k == "max_flagged"}
        if name in stages and name != only
        else value
        for name, value in campaign.items()
    }


class PlanIndex:
    """All quanta and datasets of a plan, read once: for commands that look at every chunk.

    Parameters
    ----------
    plan
        The plan.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._datasets: dict[bytes, dict[str, Any]] = {}
        shards = dict.fromkeys(c.shard for stage in plan.chunks.values() for c in stage.values())
        for folder in [table_folder(plan.folder, shard) for shard in shards]:
            for row in _read_table(folder / "plan.parquet").to_pylist():
                self._rows.setdefault((row["stage"], row["chunk"]), []).append(row)
            rows = _read_table(folder / "datasets.parquet").to_pylist()
            self._datasets |= {row["id"]: row for row in rows}

    def chunk(self, stage: str, name: str) -> ChunkPlan:
        """Give the quanta of a chunk and the datasets that they name.

        Parameters
        ----------
        stage, name
            The chunk.
        """
        quanta = _quanta(self._rows.get((stage, name), []))
        datasets = _datasets(self._datasets[key] for key in _named(quanta))
        return ChunkPlan(self._plan.find_chunk(stage, name), quanta, datasets)


def read_chunk(plan: Plan, stage: str, name: str) -> ChunkPlan:
    """Read the quanta of a chunk and the datasets that they name.

    Parameters
    ----------
    plan
        The plan.
    stage, name
        The chunk.
    """
    chunk = plan.find_chunk(stage, name)
    own = {"stage": stage, "chunk": name}
    folder = table_folder(plan.folder, chunk.shard)
    quanta = _quanta(_read_table(folder / "plan.parquet", own).to_pylist())
    ids = pa.array(_named(quanta), pa.binary(16))
    table = _read_table(folder / "datasets.parquet")
    named = table.filter(pc.is_in(table["id"], value_set=ids))
    return ChunkPlan(chunk, quanta, _datasets(named.to_pylist()))


def read_quantum_ids(plan: Plan, shard: str) -> frozenset[bytes]:
    """Read the ids of all quanta of a shard.

    Parameters
    ----------
    plan
        The plan.
    shard
        Name of the shard, as its chunks have it.
    """
    path = table_folder(plan.folder, shard) / "plan.parquet"
    table = _read_table(path, columns=["quantum_id"])
    return frozenset(table["quantum_id"].to_pylist())


def _read_table(
    path: Path, where: Mapping[str, str] | None = None, columns: list[str] | None = None
) -> pa.Table:
    """Read a table, or its rows with some texts in some columns.

    Without threads: one that outlives the interpreter aborts a job that is done. And group by
    group, for ``pq.read_table`` loads pandas where it is installed, which takes half a second.
    """
    wanted = where or {}
    with pq.ParquetFile(path, pre_buffer=False) as file:
        groups = [n for n in range(file.num_row_groups) if _may_hold(file, n, wanted)]
        table = file.read_row_groups(groups, columns=columns, use_threads=False)
    for name, text in wanted.items():
        table = table.filter(pc.equal(table[name].cast(pa.string()), pa.scalar(text, pa.string())))
    return table


def _may_hold(file: pq.ParquetFile, group: int, wanted: Mapping[str, str]) -> bool:
    """Tell by the least and the greatest text of its columns whether a group may hold a row."""
    metadata = file.metadata.row_group(group)
    for number in range(metadata.num_columns):
        column = metadata.column(number)
        text, known = wanted.get(column.path_in_schema), column.statistics
        has_range = text is not None and known is not None and known.has_min_max
        if has_range and not known.min <= text <= known.max:
            return False
    return True


def _named(quanta: Iterable[PlannedQuantum]) -> list[bytes]:
    return sorted({key.bytes for q in quanta for key in (*q.inputs, *q.outputs)})


def _quanta(rows: Iterable[dict[str, Any]]) -> tuple[PlannedQuantum, ...]:
    return tuple(
        PlannedQuantum(
            uuid.UUID(bytes=row["quantum_id"]),
            row["task"],
            _data_id(row),
            tuple(uuid.UUID(bytes=i) for i in row["inputs"]),
            tuple(uuid.UUID(bytes=i) for i in row["outputs"]),
        )
        for row in rows
    )


def _datasets(rows: Iterable[dict[str, Any]]) -> dict[uuid.UUID, PlannedDataset]:
    found = {}
    for row in rows:
        key = uuid.UUID(bytes=row["id"])
        ref = DatasetRef(key, DATASET_TYPES[row["type"]], _data_id(row), row["run"])
        header = row["header"]
        found[key] = PlannedDataset(
            ref,
            row["path"],
            row["exists"],
            row["size"],
            row["checksum"],
            None if header is None else ObservationInfo.from_json_dict(json.loads(header)),
        )
    return found


def _data_id(row: dict[str, Any]) -> DataId:
    return DataId({name: row[name] for name in DIMENSIONS if row[name] is not None})
