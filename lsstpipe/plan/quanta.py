"""The quanta and datasets of a plan, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lsstpipe.data_model import DataId, DatasetType, make_ids, name_data_ids
from lsstpipe.image.exposure import ObservationInfo
from lsstpipe.plan.rows import IndexArray, Rows
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.stages import Stage, Task

IdArray = npt.NDArray[np.uint8]
"""Ids, 16 bytes each, shape ``(n, 16)``."""


@dataclass(slots=True)
class PlannedDatasets:
    """Datasets of one type: those that exist and those that a quantum will make.

    Attributes
    ----------
    dataset_type
        The type.
    rows
        Data ID columns, and those that follow from them (visit, filter, band).
    run
        The run of those that will be made.
    start
        Number of the first of them among all datasets of the plan.
    producers
        Number of the quantum that makes each; -1 where it exists.
    records
        What is known of those that exist; empty where they will be made.
    infos
        What the headers of raws say; empty where it is not known, or they are none.
    """

    dataset_type: DatasetType
    rows: Rows
    run: str
    start: int
    producers: IndexArray
    records: Sequence[DatasetRecord] = ()
    infos: Sequence[ObservationInfo] = ()

    @property
    def ids(self) -> IdArray:
        """The ids of all."""
        return self.ids_of(np.arange(len(self.rows)))

    def ids_of(self, rows: IndexArray) -> IdArray:
        """Give the ids of some.

        Parameters
        ----------
        rows
            Which.
        """
        if len(self.records):
            ids = b"".join([self.records[i].id.bytes for i in rows.tolist()])
            return np.frombuffer(ids, dtype=np.uint8).reshape(-1, 16)
        kind = self.dataset_type
        return _ids(self.run, kind.name, self.rows.take(rows), kind.dimensions)


@dataclass(slots=True)
class PlannedTask:
    """The quanta of one task.

    Attributes
    ----------
    stage, task
        Which.
    rows
        Data ID columns, and those that follow from them.
    run
        The run that they belong to.
    start
        Number of the first of them among all quanta of the plan.
    inputs, outputs
        Numbers of datasets; those of quantum ``i`` are ``offsets[i]:offsets[i + 1]``.
    """

    stage: Stage
    task: Task
    rows: Rows
    run: str
    start: int
    inputs: IndexArray
    input_offsets: IndexArray
    outputs: IndexArray
    output_offsets: IndexArray

    @property
    def ids(self) -> IdArray:
        """The ids of all quanta."""
        return self.ids_of(np.arange(len(self.rows)))

    def ids_of(self, rows: IndexArray) -> IdArray:
        """Give the ids of some quanta.

        Parameters
        ----------
        rows
            Which.
        """
        return _ids(self.run, self.task.name, self.rows.take(rows), self.task.dimensions)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Quanta that the plan leaves out, and why."""

    stage: str
    task: str
    n_quanta: int
    reason: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The data IDs of the quanta of a task that the plan leaves out for one reason."""

    task: str
    rows: Rows
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
    """All tasks and datasets of a plan.

    Attributes
    ----------
    tasks, datasets
        In the order of the stages.
    skipped, notes
        What was left out or decided, and why.
    left_out
        The same by data ID.
    n_quanta, n_datasets
        How many there are.
    own
        Which quanta the plan is for; the others belong to other shards and are here because their
        products are read. None where all are its own.
    visits
        Numbers of all visits of the campaign, those of other shards too, ascending.
    """

    tasks: list[PlannedTask] = field(default_factory=list)
    datasets: list[PlannedDatasets] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    n_quanta: int = 0
    n_datasets: int = 0
    own: npt.NDArray[np.bool_] | None = None
    visits: IndexArray = field(default_factory=lambda: np.empty(0, np.int64))
    _ids: tuple[IdArray, IdArray] | None = field(default=None, repr=False)

    def own_rows(self, task: PlannedTask) -> IndexArray:
        """Give the rows of the quanta of a task that the plan is for.

        Parameters
        ----------
        task
            One of `tasks`.
        """
        if self.own is None:
            return np.arange(len(task.rows))
        return np.flatnonzero(self.own[task.start : task.start + len(task.rows)])

    def ids(self) -> tuple[IdArray, IdArray]:
        """Give the ids of quanta and of datasets, made once: they are most of the work of a plan.

        Returns
        -------
        quanta, datasets
            Shapes ``(n_quanta, 16)`` and ``(n_datasets, 16)``; zeros for those of other shards that
            this one does not name.
        """
        if self._ids is None:
            quanta = np.zeros((self.n_quanta, 16), dtype=np.uint8)
            for task in self.tasks:
                rows = self.own_rows(task)
                quanta[task.start + rows] = task.ids_of(rows)
            datasets = np.zeros((self.n_datasets, 16), dtype=np.uint8)
            named = self.named_datasets()
            for item in self.datasets:
                rows = np.flatnonzero(named[item.start : item.start + len(item.rows)])
                datasets[item.start + rows] = item.ids_of(rows)
            self._ids = quanta, datasets
        return self._ids

    def named_datasets(self) -> npt.NDArray[np.bool_]:
        """Tell which datasets the quanta read or make that the plan is for."""
        named = np.zeros(self.n_datasets, dtype=np.bool_)
        for task in self.tasks:
            rows = self.own_rows(task)
            named[take_lists(task.inputs, task.input_offsets, rows)[0]] = True
            named[take_lists(task.outputs, task.output_offsets, rows)[0]] = True
        return named


def take_lists(
    items: IndexArray, bounds: IndexArray, rows: IndexArray
) -> tuple[IndexArray, IndexArray]:
    """Take some of many lists that lie one after another.

    Parameters
    ----------
    items, bounds
        The lists; that of row ``i`` is ``items[bounds[i]:bounds[i + 1]]``.
    rows
        Which, in the order wanted.

    Returns
    -------
    items, bounds
        The same of those.
    """
    counts = np.diff(bounds)[rows]
    taken = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    within = np.arange(taken[-1]) - np.repeat(taken[:-1], counts)
    return items[np.repeat(bounds[rows], counts) + within], taken


def _ids(run: str, kind: str, rows: Rows, dimensions: Sequence[str]) -> IdArray:
    columns = [rows[name].tolist() for name in dimensions]
    names = name_data_ids(dimensions, columns, len(rows))
    return np.frombuffer(make_ids(run, kind, names), dtype=np.uint8).reshape(-1, 16)


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
