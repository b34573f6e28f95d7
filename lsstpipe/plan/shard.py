"""A shard: the part of a campaign that one plan is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lsstpipe.plan.rows import IndexArray, Rows
from lsstpipe.stages import Stage

Kind = Literal["detectors", "visits", "tracts", "rest"]

_COLUMN: dict[Kind, str] = {"visits": "visit", "tracts": "tract", "detectors": "detector"}


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a campaign.

    Attributes
    ----------
    name
        Of its folder within the plan.
    kind
        What it is a block of.
    members
        Numbers of its detectors, visits or tracts, ascending.
    """

    name: str
    kind: Kind
    members: IndexArray

    def owns(self, stage: Stage, rows: Rows) -> npt.NDArray[np.bool_]:
        """Tell which quanta of a stage are its own.

        Parameters
        ----------
        stage, rows
            The stage, and the data IDs of quanta of one of its tasks.
        """
        if kind_of(stage) != self.kind:
            return np.zeros(len(rows), dtype=np.bool_)
        if self.kind == "rest":
            return np.ones(len(rows), dtype=np.bool_)
        return np.isin(rows[_COLUMN[self.kind]], self.members)


def kind_of(stage: Stage) -> Kind:
    """Tell by what a stage is cut into shards.

    Parameters
    ----------
    stage
        The stage.
    """
    fitting = [kind for kind, name in _COLUMN.items() if name in stage.chunk_dimensions]
    return fitting[0] if fitting else "rest"
