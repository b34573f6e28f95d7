"""From raws and patches to quanta: array joins, task by task, in the order of the stages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lsstpipe.config import Campaign
from lsstpipe.config.campaign import Stages
from lsstpipe.data_model import DatasetType
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.errors import UserError
from lsstpipe.instruments import get_camera
from lsstpipe.plan.inputs import InputFinder
from lsstpipe.plan.quanta import (
    LeftOut,
    Note,
    PlannedDatasets,
    PlannedTask,
    Quanta,
    Skipped,
    data_ids,
)
from lsstpipe.plan.rows import IndexArray, Rows, is_in, match, offsets
from lsstpipe.plan.selection import Selection, science_rows, sky_rows
from lsstpipe.plan.shard import Shard, kind_of
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
    shard
        The part of the campaign that the plan is for; None for all of it.
    """

    def __init__(
        self,
        campaign: Campaign,
        selection: Selection,
        stages: Stages = STAGES,
        shard: Shard | None = None,
    ) -> None:
        self._campaign = campaign
        self._camera = get_camera(campaign.instrument)
        self._selection = selection
        self._stages = stages
        self._shard = shard
        self._science = science_rows(selection.raws)
        self._sky = sky_rows(self._science, selection)
        self._by_type: dict[str, PlannedDatasets] = {}
        self._certified: dict[str, PlannedDatasets] = {}
        self._implied = self._science.project(
            ("instrument", "visit", "exposure", "physical_filter", "band")
        )
        self._finder = InputFinder(selection, self._sky, self._by_type, self._certified)
        own_visits = np.unique(self._science["visit"])
        visits = selection.visits if selection.visits is not None else own_visits
        self.result = Quanta(visits=visits)

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
        if self._shard is not None:
            self._leave_to_others(self._shard)
        return self.result

    def _leave_to_others(self, shard: Shard) -> None:
        """Mark the quanta that the plan is for, and say nothing of the stages of other shards."""
        own = [shard.owns(task.stage, task.rows) for task in self.result.tasks]
        self.result.own = np.concatenate([np.empty(0, np.bool_), *own])
        stages = {name for name, stage in self._stages.items() if kind_of(stage) == shard.kind}
        self.result.skipped = [item for item in self.result.skipped if item.stage in stages]
        self.result.notes = [note for note in self.result.notes if note.stage in stages]

    def _owned(self, stage: Stage, rows: Rows) -> npt.NDArray[np.bool_]:
        """Tell which quanta the plan is for."""
        if self._shard is None:
            return np.ones(len(rows), dtype=np.bool_)
        return self._shard.owns(stage, rows)

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
        if name == "raw":
            raws = self._selection.raws
            rows = Rows({**raws.columns, "visit": raws["exposure"]}, len(raws))
        else:
            columns = {d: np.array([r.data_id[d] for r in records]) for d in dimensions}
            rows = Rows(columns, len(records))
        none = np.full(len(records), -1)
        added = self._add_datasets(DATASET_TYPES[name], rows, none, records)
        added.infos = self._selection.infos if name == "raw" else ()
        return added

    def _add_datasets(
        self,
        dataset_type: DatasetType,
        rows: Rows,
        producers: IndexArray,
        records: Sequence[DatasetRecord] = (),
    ) -> PlannedDatasets:
        """Give numbers to datasets."""
        added = PlannedDatasets(
            dataset_type,
            self._expand(rows),
            self._campaign.run,
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

    def _base(self, task: Task, dimensions: Sequence[str]) -> Rows:
        """Give the rows whose distinct values are the data IDs over some dimensions."""
        if _SKY & set(dimensions):
            return self._sky
        if task.observation_type in ("", "science"):
            # A calibration that takes no raws is for every detector that there are raws of.
            everything = "visit" not in dimensions and not task.observation_type
            return self._selection.raws if everything else self._science
        return self._selection.raws.take(self._finder.taken(task))

    def _add_task(self, stage: Stage, task: Task) -> None:
        """Make the quanta of a task, leave out those without their inputs."""
        rows = self._expand(self._base(task, task.dimensions).project(task.dimensions))
        if len(rows) == 0:
            self._note_empty(stage, task)
        rows = self._leave_certified(stage, task, self._fit_camera(stage, task, rows))
        if len(rows) == 0:
            return
        own = self._owned(stage, rows)
        found = {port.name: self._finder.find(task, port, rows, own) for port in task.inputs}
        keep = self._keep(stage, task, rows, found)
        rows = rows.take(keep)
        if len(rows) == 0:
            return
        own_rows = rows.take(own[keep])
        self._note_absent(stage, task, own_rows, {k: keep[q].sum() for k, (q, _) in found.items()})
        self._note_other_type(stage, task, own_rows)
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
                self._campaign.run,
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
            self._leave_out(stage, task, rows.take(~fits), reason)
        return rows.take(fits)

    def _leave_certified(self, stage: Stage, task: Task, rows: Rows) -> Rows:
        """Make no calibration of the sky where one of another run is certified."""
        kinds = (task.observation_type, task.other_type)
        if not (task.makes_calibrations and "science" in kinds and len(rows)):
            return rows
        name = task.outputs[0].dataset_type.name
        records = [item.dataset for item in self._selection.calibrations.get(name, ())]
        foreign = {r.data_id for r in records if r.run != self._campaign.run}
        raws = self._selection.raws
        taken = raws.take((raws["observation_type"] == kinds[0]) & (kinds[0] != "science"))
        is_there = np.array([key in foreign for key in data_ids(rows, task.dimensions)])
        is_there &= ~is_in(rows, taken, task.dimensions)
        own = rows.take(is_there & self._owned(stage, rows))
        if len(own):
            text = f"not made of science exposures: a certified {name} is there"
            self.result.notes.append(Note(stage.name, task.name, len(own), text))
            self.result.left_out.append(LeftOut(task.name, own, text))
        return rows.take(~is_there)

    def _note_absent(self, stage: Stage, task: Task, rows: Rows, n_found: dict[str, int]) -> None:
        """Say which calibrations all quanta of a task do without."""
        ports = [port for port in task.inputs if port.is_optional and not n_found[port.name]]
        if ports and len(rows):
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

    def _keep(
        self,
        stage: Stage,
        task: Task,
        rows: Rows,
        found: dict[str, tuple[IndexArray, IndexArray]],
    ) -> npt.NDArray[np.bool_]:
        """Tell which quanta have what they need; record why others are left out."""
        keep = np.ones(len(rows), dtype=np.bool_)
        needs: list[tuple[Port, ...]] = [
            (port,) for port in task.inputs if not (port.is_many or port.is_optional)
        ]
        needs.append(tuple(port for port in task.inputs if port.is_many))
        if all(port.is_optional for port in task.inputs):
            needs.append(task.inputs)
        for ports in filter(None, needs):
            has = np.zeros(len(rows), dtype=np.bool_)
            for port in ports:
                has[found[port.name][0]] = True
            names = " or ".join(port.dataset_type.name for port in ports)
            reason = f"there is no {names}, which it needs, and no task that makes it"
            self._leave_out(stage, task, rows.take(keep & ~has), reason)
            keep &= has
        return keep

    def _leave_out(self, stage: Stage, task: Task, rows: Rows, reason: str) -> None:
        """Record the quanta that the plan leaves out."""
        rows = rows.take(self._owned(stage, rows))
        if len(rows):
            self.result.skipped.append(Skipped(stage.name, task.name, len(rows), reason))
            self.result.left_out.append(LeftOut(task.name, rows, reason))

    def _note_empty(self, stage: Stage, task: Task) -> None:
        kinds = " or ".join(k for k in (task.observation_type, task.other_type) if k)
        what = f"{kinds} exposures" if kinds else "data"
        reason = f"there are no {what} with {', '.join(task.dimensions)}"
        self.result.skipped.append(Skipped(stage.name, task.name, 0, reason))

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
            added = self._add_datasets(dataset_type, own, owners + start)
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
