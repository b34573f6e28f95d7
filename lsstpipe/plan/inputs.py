"""Which datasets go into which quanta."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from lsstpipe.data_model import DIMENSIONS
from lsstpipe.plan.quanta import PlannedDatasets
from lsstpipe.plan.rows import IndexArray, Rows, is_in, match
from lsstpipe.plan.selection import Selection, prefer_kinds
from lsstpipe.plan.validity import choose_valid, find_times
from lsstpipe.stages import Task
from lsstpipe.tasks.base import Port


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

    def taken(self, task: Task) -> npt.NDArray[np.bool_]:
        """Tell which raws a task takes.

        Parameters
        ----------
        task
            Which.
        """
        kinds = [kind for kind in (task.observation_type, task.other_type) if kind]
        return prefer_kinds(self._selection.raws, kinds, task.dimensions)

    def find(self, task: Task, port: Port, rows: Rows) -> tuple[IndexArray, IndexArray]:
        """Pair quanta with the datasets of one of their ports.

        Parameters
        ----------
        task, port
            Whose quanta, and which of their inputs.
        rows
            Data IDs of the quanta.

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
        datasets = self._planned.get(port.dataset_type.name)
        if datasets is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        candidates = datasets.rows
        names = [n for n in rows.columns if n in candidates and n in DIMENSIONS]
        left, right = match(rows, candidates, names)
        if port.dataset_type.name == "raw" and task.observation_type:
            taken = self.taken(task)[right]
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
