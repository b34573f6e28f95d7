"""What of a campaign is done, stale, failed, flagged, or not run."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lsstpipe.config.campaign import Stages
from lsstpipe.errors import RepositoryError
from lsstpipe.execute.chunk import compute_keys
from lsstpipe.execute.manifest import Manifest, QuantumEntry, partial_path, read_manifest
from lsstpipe.execute.quantum import Workspace
from lsstpipe.plan.layout import manifest_path
from lsstpipe.plan.read import ChunkPlan, Plan
from lsstpipe.stages import STAGES


@dataclass(slots=True)
class Remark:
    """A quantum that did not end in ``done``, and why."""

    task: str
    data_id: str
    message: str


@dataclass(slots=True)
class StageStatus:
    """How far a stage is.

    Attributes
    ----------
    n_chunks
        How many there are.
    done, stale, failed, running, waiting
        Names of chunks: done and up to date; done with other settings or inputs; stopped by an
        error; begun; not begun.
    flagged, no_work
        Quanta.
    """

    n_chunks: int = 0
    done: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    flagged: list[Remark] = field(default_factory=list)
    no_work: list[Remark] = field(default_factory=list)
    errors: list[Remark] = field(default_factory=list)
