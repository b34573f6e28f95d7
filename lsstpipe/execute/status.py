"""What of a campaign is done, stale, failed, flagged, or not run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lsstpipe.butler import ProductStore
from lsstpipe.config.campaign import Stages
from lsstpipe.execute.chunk import compute_keys, open_workspace
from lsstpipe.execute.manifest import (
    Manifest,
    QuantumEntry,
    partial_path,
    read_manifest,
    read_partial,
)
from lsstpipe.plan.layout import manifest_path
from lsstpipe.plan.read import Plan, PlanIndex
from lsstpipe.registry.records import DatasetRecord
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
        Names of chunks: done and up to date; done with other settings or inputs, or with products
        lost; stopped by an error; begun; not begun.
    flagged, no_work, errors
        Quanta that did not end in ``done``, and why.
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


def campaign_status(plan: Plan, stages: Stages = STAGES) -> dict[str, StageStatus]:
    """Tell how far each stage of a plan is.

    A chunk is stale if the settings or the inputs of a quantum are not those of its record, if a
    product is absent, or if one of the chunks before it is stale or not done.

    Parameters
    ----------
    plan
        The plan.
    stages
        The table of stages.
    """
    index = PlanIndex(plan)
    found: dict[str, StageStatus] = {}
    fresh: dict[tuple[str, str], Manifest] = {}
    for stage, chunks in plan.chunks.items():
        status = found[stage] = StageStatus(n_chunks=len(chunks))
        for name, chunk in chunks.items():
            path = manifest_path(plan.campaign.repo, stage, name)
            if not path.exists():
                _begun(status, plan, stage, name)
                continue
            manifest = read_manifest(path)
            _remark(status, manifest.quanta)
            before = [fresh.get(other) for other in chunk.upstream]
            whole = [manifest for manifest in before if manifest is not None]
            if len(whole) == len(before) and _is_fresh(plan, index, manifest, whole, stages):
                fresh[stage, name] = manifest
                status.done.append(name)
            else:
                status.stale.append(name)
    return found


def _begun(status: StageStatus, plan: Plan, stage: str, name: str) -> None:
    """Sort a chunk without a manifest by what its job wrote so far."""
    path = manifest_path(plan.campaign.repo, stage, name)
    if not partial_path(path).exists():
        status.waiting.append(name)
        return
    entries = read_partial(path, plan.campaign.run, stage, name)
    failed = [entry for entry in entries if entry.record.status == "failed"]
    _remark(status, entries)
    (status.failed if failed else status.running).append(name)


def _remark(status: StageStatus, entries: Sequence[QuantumEntry]) -> None:
    """Note the quanta that did not end in ``done``."""
    kinds = {"flagged": status.flagged, "no_work": status.no_work, "failed": status.errors}
    for entry in entries:
        record = entry.record
        if record.status in kinds:
            kinds[record.status].append(Remark(record.task, str(record.data_id), record.message))


def _is_fresh(
    plan: Plan,
    index: PlanIndex,
    manifest: Manifest,
    upstream: Sequence[Manifest],
    stages: Stages,
) -> bool:
    """Tell whether the records of a chunk are what a run now would start from."""
    chunk = index.chunk(manifest.stage, manifest.chunk)
    work = open_workspace(plan, chunk, upstream, stages)
    keys = compute_keys(chunk, work)
    return keys == {entry.record.id: entry.key for entry in manifest.quanta} and all(
        _is_there(file, work.store) for entry in manifest.quanta for file in entry.files
    )


def _is_there(file: DatasetRecord, store: ProductStore) -> bool:
    """Tell whether a file has its size; one that is not on a local disk is taken to be there."""
    path = store.datastore.local_path(file.path)
    try:
        return path is None or path.stat().st_size == file.size
    except FileNotFoundError:
        return False
