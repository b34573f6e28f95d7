"""Which datasets go into which quanta."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lsstpipe.data_model import DIMENSIONS
from lsstpipe.plan.quanta import PlannedDatasets
from lsstpipe.plan.rows import IndexArray, Rows, match
from lsstpipe.plan.selection import Selection, prefer_kinds
from lsstpipe.plan.validity import choose_valid, find_times
from lsstpipe.stages import Task
from lsstpipe.tasks.base import Port

_PLACES = ("instrument", "visit", "detector", "skymap", "tract", "patch")
"""What tells which part of the sky a quantum or a dataset is about."""


class InputFinder:
    """Finds the inputs of quanta.

    Parameters
    ----------
    selection
        What the plan starts from.
    sky
        Which raws may overlap which patches.
    planned
        By dataset type what exists and what the plan makes; it grows as the plan does.
    certified
        By dataset type the certified calibrations.
    """

    def __init__(
        self,
        selection: Selection,
        sky: Rows,
        planned: Mapping[str, PlannedDatasets],
        certified: Mapping[str, PlannedDatasets],
    ) -> None:
        self._selection = selection
        self._sky = sky
        self._planned = planned
        self._certified = certified
        self._projections: dict[tuple[str, ...], Rows] = {}

    def taken(self, task: Task) -> npt.NDArray[np.bool_]:
        """Tell which raws a task takes.

        Parameters
        ----------
        task
            Which.
        """
        kinds = [kind for kind in (task.observation_type, task.other_type) if kind]
        return prefer_kinds(self._selection.raws, kinds, task.dimensions)

    def find(
        self, task: Task, port: Port, rows: Rows, own: npt.NDArray[np.bool_]
    ) -> tuple[IndexArray, IndexArray]:
        """Pair quanta with the datasets of one of their ports.

        Parameters
        ----------
        task, port
            Whose quanta, and which of their inputs.
        rows
            Data IDs of the quanta.
        own
            Which of them the plan is for: others do without optional calibrations, whose choice
            would need all of their exposures.

        Returns
        -------
        quanta, datasets
            Rows of quanta and numbers of datasets, one a pair.

        Raises
        ------
        UserError
            If of certified calibrations none, or more than one, holds for a quantum.
        """
        left, right = self._find_planned(task, port, rows)
        if not port.is_many and np.any(left[1:] == left[:-1]):
            raise ValueError(
                f"{task.name}.{port.name} takes one {port.dataset_type.name} a quantum, "
                f"but there are several over {', '.join(task.dimensions)}"
            )
        # What this plan makes takes the place of what was certified before.
        open_rows = own.copy() if port.is_optional else np.ones(len(rows), dtype=np.bool_)
        open_rows[left] = False
        more_left, more_right = self._find_certified(task, port, rows, np.flatnonzero(open_rows))
        return np.concatenate([left, more_left]), np.concatenate([right, more_right])

    def _find_planned(self, task: Task, port: Port, rows: Rows) -> tuple[IndexArray, IndexArray]:
        """Pair quanta with raws, with what exists, and with what this plan makes."""
        datasets = self._planned.get(port.dataset_type.name)
        if datasets is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        candidates = datasets.rows
        left, right = self._agree(rows, candidates)
        if port.dataset_type.name == "raw" and task.observation_type:
            taken = self.taken(task)[right]
            left, right = left[taken], right[taken]
        return left, right + datasets.start

    def _find_certified(
        self, task: Task, port: Port, rows: Rows, rest: IndexArray
    ) -> tuple[IndexArray, IndexArray]:
        """Pair some of the quanta with the certified calibrations of their dates."""
        name = port.dataset_type.name
        datasets = self._certified.get(name)
        # What is derived from other calibrations is derived from new ones only.
        is_derived = not task.observation_type and task.makes_calibrations
        if datasets is None or port.is_many or is_derived or len(rest) == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        names = [n for n in rows.columns if n in datasets.rows and n in DIMENSIONS]
        left, right = match(rows.take(rest), datasets.rows, names)
        raws = self._selection.raws
        if task.observation_type not in ("", "science"):
            raws = raws.take(self.taken(task))
        raws = Rows({**raws.columns, "visit": raws["exposure"]}, len(raws))
        left, right = choose_valid(
            (rest[left], right),
            self._selection.calibrations[name],
            find_times(rows, raws),
            is_ordered=self._selection.is_ordered,
        )
        return left, right + datasets.start

    def _agree(self, rows: Rows, candidates: Rows) -> tuple[IndexArray, IndexArray]:
        """Pair quanta with the datasets that agree in all dimensions and may touch on the sky.

        Where one has the visit and the other the patch or tract, the table of raws and patches
        that overlap is between them: all visits with all patches would be far too many pairs.
        """
        common = [n for n in rows.columns if n in candidates and n in DIMENSIONS]
        both = {n for n in _PLACES if n in rows or n in candidates}
        if not {"visit", "tract"} <= both or both <= rows.columns.keys() or (
            both <= candidates.columns.keys()):  # fmt: skip
            return match(rows, candidates, common)
        between = self._project_sky(tuple(n for n in DIMENSIONS if n in both or n in common))
        left, via = match(rows, between, [n for n in between.columns if n in rows])
        names = [n for n in between.columns if n in candidates]
        pair, right = match(between.take(via), candidates, names)
        return left[pair], right

    def _project_sky(self, names: tuple[str, ...]) -> Rows:
        """Keep some columns of the sky; the same are asked for again and again."""
        if names not in self._projections:
            self._projections[names] = self._sky.project(names)
        return self._projections[names]
