"""The quanta and datasets of a plan, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lsstpipe.data_model import DataId, DatasetType
from lsstpipe.plan.rows import IndexArray, Rows
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.stages import Stage, Task


@dataclass(slots=True)
class PlannedDatasets:
    """Datasets of one type: those that exist and those that a quantum will make.

    Attributes
    ----------
    dataset_type
        The type.
    rows
        Data ID columns, and those that follow from them (visit, filter, band).
    ids
        16 bytes each, shape ``(n, 16)``.
    start
        Number of the first of them among all datasets of the plan.
    producers
        Number of the quantum that makes each; -1 where it exists.
    records
        What is known of those that exist; empty where they will be made.
    """

    dataset_type: DatasetType
    rows: Rows
    ids: npt.NDArray[np.uint8]
    start: int
    producers: IndexArray
    records: Sequence[DatasetRecord] = ()


@dataclass(slots=True)
class PlannedTask:
    """The quanta of one task.

    Attributes
    ----------
    stage, task
        Which.
    rows
        Data ID columns, and those that follow from them.
    ids
        16 bytes each, shape ``(n, 16)``.
    start
        Number of the first of them among all quanta of the plan.
    inputs, outputs
        Numbers of datasets; those of quantum ``i`` are ``offsets[i]:offsets[i + 1]``.
    """

    stage: Stage
    task: Task
    rows: Rows
    ids: npt.NDArray[np.uint8]
    start: int
    inputs: IndexArray
    input_offsets: IndexArray
    outputs: IndexArray
    output_offsets: IndexArray


@dataclass(frozen=True, slots=True)
class Skipped:
    """Quanta that the plan leaves out, and why."""

    stage: str
    task: str
    n_quanta: int
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something about the quanta of a task that the plan decided, and why."""

    stage: str
    task: str
    n_quanta: int
    text: str


@dataclass(slots=True)
class Quanta:
    """All tasks and datasets of a plan."""

    tasks: list[PlannedTask] = field(default_factory=list)
    datasets: list[PlannedDatasets] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    n_quanta: int = 0
    n_datasets: int = 0


def data_ids(rows: Rows, dimensions: Sequence[str]) -> list[DataId]:
    """Make data IDs of rows.

    Parameters
    ----------
    rows
        Columns by dimension.
    dimensions
        Those to take.
    """
    if not dimensions:
        return [DataId()] * len(rows)
    columns = [rows[name].tolist() for name in dimensions]
    return [
        DataId(dict(zip(dimensions, values, strict=True))) for values in zip(*columns, strict=True)
    ]
