"""From raws and patches to quanta: array joins, task by task, in the order of the stages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lsstpipe.config import Campaign
from lsstpipe.config.campaign import Stages
from lsstpipe.data_model import DIMENSIONS, DatasetType, make_id, make_ref
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.errors import UserError
from lsstpipe.instruments import get_camera
from lsstpipe.plan.quanta import Note, PlannedDatasets, PlannedTask, Quanta, Skipped, data_ids
from lsstpipe.plan.rows import IndexArray, Rows, is_in, match, offsets
from lsstpipe.plan.selection import Selection, prefer_kinds, science_rows, sky_rows
from lsstpipe.plan.validity import choose_valid, find_spans
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.stages import STAGES, Stage, Task
from lsstpipe.tasks.base import Port

_SKY = {"skymap", "tract", "patch"}


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
        self._certified: dict[str, PlannedDatasets] = {}
        self._implied = self._science.project(
            ("instrument", "visit", "exposure", "physical_filter", "band")
        )
        self.result = Quanta()

    def build(self) -> Quanta:
        """Make all quanta.

        Raises
        ------
        UserError
            If raws are missing that a task cannot do without, or of a certified calibration none,
            or more than one, holds for an exposure.
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
        if not is_needed or task.needs or np.any(kinds == kind):
            return
        if all(port.dataset_type.name in self._certified for port in task.outputs):
            return
        given = ", ".join(f"{np.sum(kinds == k)} {k}" for k in np.unique(kinds)) or "none"
        names = ", ".join(port.dataset_type.name for port in task.outputs)
        is_calibration = all(port.dataset_type.is_calibration for port in task.outputs)
        instead = f"certify a {names}" if is_calibration else f"skip the stage {stage.name}"
        raise UserError(
            f"There are no {kind} frames among the raws of '{self._campaign.name}' ({given}), and "
            f"the repository has no {names}: add {kind} frames to 'raws', or {instead}."
        )

    def _add_existing(self) -> None:
        """Give numbers to what exists."""
        existing = {"raw": self._selection.records, **self._selection.existing}
        for name, records in existing.items():
            if records:
                self._by_type[name] = self._add_records(name, records)
        for name, calibrations in self._selection.calibrations.items():
            if calibrations:
                records = [item.dataset for item in calibrations]
                self._certified[name] = self._add_records(name, records)

    def _add_records(self, name: str, records: Sequence[DatasetRecord]) -> PlannedDatasets:
        """Give numbers to datasets that exist."""
        dimensions = DATASET_TYPES[name].dimensions
        rows = Rows(
            {d: np.array([r.data_id[d] for r in records]) for d in dimensions}, len(records)
        )
        if name == "raw":
            raws = self._selection.raws
            rows = Rows({**raws.columns, "visit": raws["exposure"]}, len(raws))
        ids = b"".join(r.id.bytes for r in records)
        none = np.full(len(records), -1)
        return self._add_datasets(DATASET_TYPES[name], rows, ids, none, records=records)

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

    def _taken(self, task: Task) -> npt.NDArray[np.bool_]:
        """Tell which raws a task takes."""
        kinds = [kind for kind in (task.observation_type, task.other_type) if kind]
        return prefer_kinds(self._selection.raws, kinds, task.dimensions)

    def _base(self, task: Task, dimensions: Sequence[str]) -> Rows:
        """Give the rows whose distinct values are the data IDs over some dimensions."""
        if _SKY & set(dimensions):
            return self._sky
        if task.observation_type in ("", "science"):
            # A calibration that takes no raws is for every detector that there are raws of.
            everything = "visit" not in dimensions and not task.observation_type
            return self._selection.raws if everything else self._science
        return self._selection.raws.take(self._taken(task))

    def _add_task(self, stage: Stage, task: Task) -> None:
        """Make the quanta of a task, leave out those without their inputs."""
        rows = self._expand(self._base(task, task.dimensions).project(task.dimensions))
        if len(rows) == 0:
            self._note_empty(stage, task)
        rows = self._fit_camera(stage, task, rows)
        if len(rows) == 0:
            return
        found = {port.name: self._find_inputs(task, port, rows) for port in task.inputs}
        keep = self._keep(stage, task, rows, found)
        rows = rows.take(keep)
        if len(rows) == 0:
            return
        self._note_absent(stage, task, rows, {k: keep[q].sum() for k, (q, _) in found.items()})
        self._note_other_type(stage, task, rows)
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

    def _fit_camera(self, stage: Stage, task: Task, rows: Rows) -> Rows:
        """Leave out the detectors or filters that lack what a task needs."""
        if not (task.needs and len(rows)):
            return rows
        if task.needs == "fringes":
            name = "physical_filter"
            fits = np.isin(rows[name], sorted(self._camera.fringing))
        else:
            name = "detector"
            fits = np.isin(rows[name], sorted(self._camera.with_several_amplifiers))
        if not fits.all():
            lacking = ", ".join(str(v) for v in np.unique(rows[name][~fits]))
            reason = f"{self._camera.name} has no {task.needs} there: {name} {lacking}"
            self.result.skipped.append(Skipped(stage.name, task.name, int((~fits).sum()), reason))
        return rows.take(fits)

    def _note_absent(self, stage: Stage, task: Task, rows: Rows, n_found: dict[str, int]) -> None:
        """Say which calibrations all quanta of a task do without."""
        ports = [port for port in task.inputs if port.is_optional and not n_found[port.name]]
        if ports:
            names = ", ".join(port.dataset_type.name for port in ports)
            text = f"do without {names}: this plan makes none and none is certified"
            self.result.notes.append(Note(stage.name, task.name, len(rows), text))

    def _note_other_type(self, stage: Stage, task: Task, rows: Rows) -> None:
        """Say which data IDs are made of the second kind of exposure that a task can take."""
        if not task.other_type:
            return
        raws = self._selection.raws
        first = raws.take(raws["observation_type"] == task.observation_type)
        other = rows.take(~is_in(rows, first, task.dimensions))
        if len(other):
            which = "; ".join(str(data_id) for data_id in data_ids(other, task.dimensions)[:5])
            text = (
                f"made of {task.other_type} exposures where there are no {task.observation_type} "
                f"exposures: {which}{' ...' if len(other) > 5 else ''}"
            )
            self.result.notes.append(Note(stage.name, task.name, len(other), text))

    def _find_inputs(self, task: Task, port: Port, rows: Rows) -> tuple[IndexArray, IndexArray]:
        """Pair quanta with the datasets of one of their ports: quantum rows, dataset numbers."""
        left, right = self._find_planned(task, port, rows)
        if not port.is_many and len(np.unique(left)) != len(left):
            raise ValueError(
                f"{task.name}.{port.name} takes one {port.dataset_type.name} a quantum, "
                f"but there are several over {', '.join(task.dimensions)}"
            )
        # What this plan makes takes the place of what was certified before.
        more_left, more_right = self._find_certified(task, port, rows, left)
        return np.concatenate([left, more_left]), np.concatenate([right, more_right])

    def _find_planned(self, task: Task, port: Port, rows: Rows) -> tuple[IndexArray, IndexArray]:
        """Pair quanta with raws, with what exists, and with what this plan makes."""
        datasets = self._by_type.get(port.dataset_type.name)
        if datasets is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        candidates = datasets.rows
        names = [n for n in rows.columns if n in candidates and n in DIMENSIONS]
        left, right = match(rows, candidates, names)
        if port.dataset_type.name == "raw" and task.observation_type:
            taken = self._taken(task)[right]
            left, right = left[taken], right[taken]
        near = self._overlaps(rows, candidates, left, right)
        return left[near], right[near] + datasets.start

    def _find_certified(
        self, task: Task, port: Port, rows: Rows, made: IndexArray
    ) -> tuple[IndexArray, IndexArray]:
        """Pair quanta with the certified calibrations of their dates."""
        name = port.dataset_type.name
        datasets = self._certified.get(name)
        rest = np.setdiff1d(np.arange(len(rows)), made)
        if datasets is None or port.is_many or len(rest) == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        names = [n for n in rows.columns if n in datasets.rows and n in DIMENSIONS]
        left, right = match(rows.take(rest), datasets.rows, names)
        raws = self._selection.raws
        if task.observation_type not in ("", "science"):
            raws = raws.take(self._taken(task))
        raws = Rows({**raws.columns, "visit": raws["exposure"]}, len(raws))
        left, right = choose_valid(
            (rest[left], right),
            self._selection.calibrations[name],
            find_spans(rows, raws),
            is_ordered=self._selection.is_ordered,
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
        if all(port.is_optional for port in task.inputs):
            found_any = np.isin(
                np.arange(len(rows)), np.concatenate([q for q, _ in found.values()])
            )
            names = " or ".join(port.dataset_type.name for port in task.inputs)
            self._note(stage, task, int((keep & ~found_any).sum()), names)
            keep &= found_any
        return keep

    def _note_empty(self, stage: Stage, task: Task) -> None:
        kinds = " or ".join(k for k in (task.observation_type, task.other_type) if k)
        what = f"{kinds} exposures" if kinds else "data"
        reason = f"there are no {what} with {', '.join(task.dimensions)}"
        self.result.skipped.append(Skipped(stage.name, task.name, 0, reason))

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
            self._by_type[dataset_type.name] = added
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
        wide = self._base(task, names).project(names)
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
