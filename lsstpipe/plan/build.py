"""From raws and patches to quanta: array joins, task by task, in the order of the stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lsstpipe.config import Campaign
from lsstpipe.config.campaign import Stages
from lsstpipe.data_model import DIMENSIONS, DataId, DatasetType, make_id, make_ref
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.errors import UserError
from lsstpipe.instruments import get_camera
from lsstpipe.plan.rows import IndexArray, Rows, is_in, match, offsets
from lsstpipe.plan.selection import Selection, science_rows, sky_rows
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.stages import STAGES, Stage, Task
from lsstpipe.tasks.base import Port

_SKY = {"skymap", "tract", "patch"}


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


@dataclass(slots=True)
class Quanta:
    """All tasks and datasets of a plan."""

    tasks: list[PlannedTask] = field(default_factory=list)
    datasets: list[PlannedDatasets] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    n_quanta: int = 0
    n_datasets: int = 0


class Builder:
    """Makes the quanta of a campaign.

    Parameters
    ----------
    campaign
        Its settings.
    selection
        What it starts from.
    stages
        The table of stages.
    """

    def __init__(self, campaign: Campaign, selection: Selection, stages: Stages = STAGES) -> None:
        self._campaign = campaign
        self._camera = get_camera(campaign.instrument)
        self._selection = selection
        self._stages = stages
        self._science = science_rows(selection.raws)
        self._sky = sky_rows(self._science, selection)
        self._by_type: dict[str, PlannedDatasets] = {}
        self._implied = self._science.project(
            ("instrument", "visit", "exposure", "physical_filter", "band")
        )
        self.result = Quanta()

    def build(self) -> Quanta:
        """Make all quanta.

        Raises
        ------
        UserError
            If raws are missing that a task cannot do without.
        """
        self._add_existing()
        for stage in self._stages.values():
            if stage.name in self._campaign.skip:
                reason = f"skipped by the campaign: {self._campaign.skip[stage.name]}"
                self.result.skipped.append(Skipped(stage.name, "", 0, reason))
                continue
            for task in stage.tasks:
                self._check_raws(stage, task)
                self._add_task(stage, task)
        return self.result

    def _check_raws(self, stage: Stage, task: Task) -> None:
        """Refuse a campaign without the raws of a calibration that does not exist either."""
        kinds = self._selection.raws["observation_type"]
        kind = task.observation_type
        # A dark holds the bias level of a camera that cannot tell it otherwise.
        is_needed = kind == "science" or (kind == "dark" and not self._camera.has_overscan)
        if not is_needed or np.any(kinds == kind):
            return
        if all(port.dataset_type.name in self._by_type for port in task.outputs):
            return
        given = ", ".join(f"{np.sum(kinds == k)} {k}" for k in np.unique(kinds)) or "none"
        names = ", ".join(port.dataset_type.name for port in task.outputs)
        raise UserError(
            f"There are no {kind} frames among the raws of '{self._campaign.name}' ({given}) and "
            f"the repository has no certified {names}: add {kind} frames to 'raws', or certify a "
            f"{names}."
        )

    def _add_existing(self) -> None:
        """Give numbers to what exists."""
        existing = {"raw": self._selection.records, **self._selection.existing}
        for name, records in existing.items():
            if not records:
                continue
            dimensions = DATASET_TYPES[name].dimensions
            rows = Rows(
                {d: np.array([r.data_id[d] for r in records]) for d in dimensions}, len(records)
            )
            if name == "raw":
                raws = self._selection.raws
                rows = Rows({**raws.columns, "visit": raws["exposure"]}, len(raws))
            ids = b"".join(r.id.bytes for r in records)
            self._add_datasets(
                DATASET_TYPES[name], rows, ids, np.full(len(records), -1), records=records
            )

    def _add_datasets(
        self,
        dataset_type: DatasetType,
        rows: Rows,
        ids: bytes,
        producers: IndexArray,
        records: Sequence[DatasetRecord] = (),
    ) -> PlannedDatasets:
        """Give numbers to datasets."""
        added = PlannedDatasets(
            dataset_type,
            self._expand(rows),
            np.frombuffer(ids, dtype=np.uint8).reshape(-1, 16),
            self.result.n_datasets,
            producers,
            records,
        )
        self.result.datasets.append(added)
        self.result.n_datasets += len(rows)
        # What this plan makes takes the place of what was certified before.
        self._by_type[dataset_type.name] = added
        return added

    def _expand(self, rows: Rows) -> Rows:
        """Add the columns that follow from a visit: its exposure, filter and band."""
        if "visit" not in rows or "band" in rows or "instrument" not in rows:
            return rows
        left, right = match(rows, self._implied, ("instrument", "visit"))
        if len(left) != len(rows):
            raise ValueError("a visit is not unique among the exposures")
        extra = {n: self._implied[n][right] for n in ("exposure", "physical_filter", "band")}
        return Rows({**rows.columns, **{k: v for k, v in extra.items() if k not in rows}})

    def _base(self, dimensions: Sequence[str], kind: str) -> Rows:
        """Give the rows whose distinct values are the data IDs over some dimensions."""
        if _SKY & set(dimensions):
            return self._sky
        raws = self._selection.raws
        if kind and kind != "science":
            return raws.take(raws["observation_type"] == kind)
        return self._science

    def _add_task(self, stage: Stage, task: Task) -> None:
        """Make the quanta of a task, leave out those without their inputs."""
        rows = self._expand(
            self._base(task.dimensions, task.observation_type).project(task.dimensions)
        )
        found = {port.name: self._find_inputs(task, port, rows) for port in task.inputs}
        keep = self._keep(stage, task, rows, found)
        rows = rows.take(keep)
        if len(rows) == 0:
            return
        number = np.cumsum(keep) - 1
        quanta = np.concatenate([number[q[keep[q]]] for q, _ in found.values()])
        inputs = np.concatenate([d[keep[q]] for q, d in found.values()])
        order = np.lexsort((inputs, quanta))
        start = self.result.n_quanta
        self.result.n_quanta += len(rows)
        output_quanta, outputs = self._add_outputs(task, rows, start)
        self.result.tasks.append(
            PlannedTask(
                stage,
                task,
                rows,
                self._quantum_ids(task, rows),
                start,
                inputs[order],
                offsets(quanta[order], len(rows)),
                outputs,
                offsets(output_quanta, len(rows)),
            )
        )

    def _find_inputs(self, task: Task, port: Port, rows: Rows) -> tuple[IndexArray, IndexArray]:
        """Pair quanta with the datasets of one of their ports: quantum rows, dataset numbers."""
        datasets = self._by_type.get(port.dataset_type.name)
        if datasets is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        candidates = datasets.rows
        names = [n for n in rows.columns if n in candidates and n in DIMENSIONS]
        left, right = match(rows, candidates, names)
        if port.dataset_type.name == "raw" and task.observation_type:
            of_kind = candidates["observation_type"][right] == task.observation_type
            left, right = left[of_kind], right[of_kind]
        near = self._overlaps(rows, candidates, left, right)
        left, right = left[near], right[near]
        if not port.is_many and len(np.unique(left)) != len(left):
            raise ValueError(
                f"{task.name}.{port.name} takes one {port.dataset_type.name} a quantum, "
                f"but there are several over {', '.join(task.dimensions)}"
            )
        return left, right + datasets.start

    def _overlaps(
        self, rows: Rows, candidates: Rows, left: IndexArray, right: IndexArray
    ) -> npt.NDArray[np.bool_]:
        """Tell which pairs of a quantum and a dataset may touch on the sky."""
        names = ("instrument", "visit", "detector", "skymap", "tract", "patch")
        pairs = {n: rows[n][left] for n in names if n in rows}
        pairs |= {n: candidates[n][right] for n in names if n in candidates and n not in pairs}
        if not ("visit" in pairs and "tract" in pairs) or ("visit" in rows and "tract" in rows
            and set(pairs) <= set(rows.columns)):  # fmt: skip
            return np.ones(len(left), dtype=np.bool_)
        return is_in(Rows(pairs, len(left)), self._sky.project(tuple(pairs)), tuple(pairs))

    def _keep(
        self,
        stage: Stage,
        task: Task,
        rows: Rows,
        found: dict[str, tuple[IndexArray, IndexArray]],
    ) -> npt.NDArray[np.bool_]:
        """Tell which quanta have what they need; record why others are left out."""
        if len(rows) == 0:
            kind = f"{task.observation_type} exposures" if task.observation_type else "data"
            reason = f"there are no {kind} with {', '.join(task.dimensions)}"
            self.result.skipped.append(Skipped(stage.name, task.name, 0, reason))
        keep = np.ones(len(rows), dtype=np.bool_)
        has_any, many = np.zeros(len(rows), dtype=np.bool_), []
        for port in task.inputs:
            has = np.isin(np.arange(len(rows)), found[port.name][0])
            if port.is_many:
                many.append(port.dataset_type.name)
                has_any |= has
            elif not port.is_optional:
                self._note(stage, task, int((keep & ~has).sum()), port.dataset_type.name)
                keep &= has
        if many:
            self._note(stage, task, int((keep & ~has_any).sum()), " or ".join(many))
            keep &= has_any
        return keep

    def _note(self, stage: Stage, task: Task, n_quanta: int, name: str) -> None:
        if n_quanta:
            reason = f"there is no {name}, which it needs, and no task that makes it"
            self.result.skipped.append(Skipped(stage.name, task.name, n_quanta, reason))

    def _add_outputs(self, task: Task, rows: Rows, start: int) -> tuple[IndexArray, IndexArray]:
        """Make the datasets of a task: quantum rows, dataset numbers."""
        quanta, numbers = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for port in task.outputs:
            dataset_type = port.dataset_type
            dimensions = dataset_type.dimensions
            if set(dimensions) <= set(rows.columns):
                own, owners = (
                    Rows({d: rows[d] for d in dimensions}, len(rows)),
                    np.arange(len(rows)),
                )
            else:
                own, owners = self._many_outputs(task, dimensions, rows)
            ids = b"".join(
                make_ref(dataset_type, data_id, self._campaign.run).id.bytes
                for data_id in data_ids(own, dimensions)
            )
            added = self._add_datasets(dataset_type, own, ids, owners + start)
            quanta.append(owners)
            numbers.append(np.arange(len(own)) + added.start)
        all_quanta, all_numbers = np.concatenate(quanta), np.concatenate(numbers)
        order = np.lexsort((all_numbers, all_quanta))
        return all_quanta[order], all_numbers[order]

    def _many_outputs(
        self, task: Task, dimensions: Sequence[str], rows: Rows
    ) -> tuple[Rows, IndexArray]:
        """Find the datasets that a quantum makes several of; the first that could make one does."""
        names = tuple(dict.fromkeys((*task.dimensions, *dimensions)))
        wide = self._base(names, task.observation_type).project(names)
        left, right = match(rows, wide, task.dimensions)
        made = Rows({d: wide[d][right] for d in dimensions} | {"_quantum": left}, len(left))
        made = made.project((*dimensions, "_quantum"))
        single = made.project(dimensions)
        first, of_made = match(single, made, dimensions)
        owners = made["_quantum"][of_made[np.unique(first, return_index=True)[1]]]
        return single, owners

    def _quantum_ids(self, task: Task, rows: Rows) -> npt.NDArray[np.uint8]:
        """Derive the ids of quanta from their data IDs."""
        run = self._campaign.run
        ids = b"".join(
            make_id(run, task.name, str(data_id)).bytes
            for data_id in data_ids(rows, task.dimensions)
        )
        return np.frombuffer(ids, dtype=np.uint8).reshape(-1, 16)


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
