"""Run a chunk: its quanta in order, intermediates in memory, a record on disk after each.

A kill at any instant does no harm. Outputs appear by rename and before the record that names them;
a rerun skips the quanta whose record fits the present code, settings and inputs and whose files are
whole.
"""

from __future__ import annotations

import logging
import platform
import traceback
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lsstpipe.butler import ProductStore
from lsstpipe.config.campaign import Stages, digest, digest_task
from lsstpipe.errors import RepositoryError
from lsstpipe.execute.environment import (
    Meter,
    code_version,
    environment,
    environment_digest,
)
from lsstpipe.execute.manifest import (
    Journal,
    Manifest,
    QuantumEntry,
    open_journal,
    read_manifest,
    write_manifest,
)
from lsstpipe.execute.memory import keep_freed_memory
from lsstpipe.execute.policy import check_flagged
from lsstpipe.execute.quantum import Outcome, Workspace, run_quantum
from lsstpipe.logs import bind
from lsstpipe.plan.read import ChunkPlan, Plan, PlannedQuantum, read_chunk
from lsstpipe.registry.records import DatasetRecord, QuantumRecord
from lsstpipe.stages import STAGES

_LOG = logging.getLogger(__name__)

OnQuantum = Callable[[QuantumEntry], None]


@dataclass(frozen=True, slots=True)
class Step:
    """A quantum of a chunk, what it depends on, and its record if it need not run."""

    quantum: PlannedQuantum
    key: str
    config_digest: str
    attempt: int
    entry: QuantumEntry | None


def run_chunk(
    plan: Plan,
    stage: str,
    name: str,
    manifest_path: Path,
    *,
    stages: Stages = STAGES,
    on_quantum: OnQuantum = lambda entry: None,
) -> Manifest:
    """Run a chunk, or what is left of it.

    Parameters
    ----------
    plan
        The plan.
    stage, name
        The chunk.
    manifest_path
        Where its manifest goes, as ``<repository>/manifests/<stage>/<chunk>.json``; those of the
        chunks before it are looked for beside it.
    stages
        The table of stages.
    on_quantum
        Called with the record of each quantum that ended.

    Raises
    ------
    UserError
        If a chunk before it has not run, too many quanta were flagged, or the repository cannot be
        written.
    """
    keep_freed_memory()
    with bind(stage=stage, chunk=name), open_journal(manifest_path) as journal:
        chunk = read_chunk(plan, stage, name)
        folder = manifest_path.parent.parent
        upstream = [
            read_manifest(folder / other / f"{label}.json") for other, label in chunk.chunk.upstream
        ]
        check_flagged(plan, upstream, whole_only=True)
        work = open_workspace(plan, chunk, upstream, stages)
        steps = plan_steps(chunk, work, _read_earlier(plan, chunk, manifest_path, journal))
        entries = []
        for step in steps:
            entries.append(_run_step(step, steps, work, chunk, plan, journal))
            on_quantum(entries[-1])
        configs = {
            step.config_digest: work.campaign.task(stage, step.quantum.task).model_dump(mode="json")
            for step in steps
        }
        manifest = Manifest(
            plan.digest,
            plan.campaign.run,
            stage,
            name,
            configs,
            {environment_digest(): environment()},
            tuple(entries),
        )
        write_manifest(manifest_path, manifest)
        journal.remove()
    return manifest


def open_workspace(
    plan: Plan, chunk: ChunkPlan, upstream: Sequence[Manifest], stages: Stages = STAGES
) -> Workspace:
    """Find what there is for a chunk to work on.

    Parameters
    ----------
    plan, chunk
        The chunk and its plan.
    upstream
        Manifests of the chunks before it.
    stages
        The table of stages.
    """
    stage = stages[chunk.chunk.stage]
    available = {
        key: DatasetRecord(
            key,
            planned.ref.dataset_type.name,
            planned.ref.data_id,
            planned.ref.run,
            planned.path,
            planned.size,
            planned.checksum,
        )
        for key, planned in chunk.datasets.items()
        if planned.exists
    }
    for manifest in upstream:
        for entry in manifest.quanta:
            available |= {file.id: file for file in entry.files if file.id in chunk.datasets}
    return Workspace(
        stage,
        plan.campaign,
        chunk.datasets,
        available,
        frozenset({*stage.retained, *plan.campaign.retain}),
        ProductStore(plan.campaign.repo),
    )


def _read_earlier(
    plan: Plan, chunk: ChunkPlan, manifest_path: Path, journal: Journal
) -> dict[uuid.UUID, QuantumEntry]:
    """Read the records of earlier attempts; the newest of each quantum."""
    earlier: dict[uuid.UUID, QuantumEntry] = {}
    if manifest_path.exists():
        try:
            earlier = {entry.record.id: entry for entry in read_manifest(manifest_path).quanta}
        except RepositoryError as error:
            _LOG.warning("The earlier manifest counts for nothing: %s", error)
    lines = journal.read(plan.campaign.run, chunk.chunk.stage, chunk.chunk.name)
    return earlier | {entry.record.id: entry for entry in lines}


def plan_steps(
    chunk: ChunkPlan, work: Workspace, earlier: dict[uuid.UUID, QuantumEntry]
) -> list[Step]:
    """Decide which quanta run.

    A quantum need not run if its record fits and its files are whole; but it does if a quantum
    after it needs what it handed over in memory.

    Parameters
    ----------
    chunk
        The quanta.
    work
        What there is.
    earlier
        Records of earlier attempts by quantum.
    """
    keys = compute_keys(chunk, work)
    needed: set[uuid.UUID] = set()
    steps: list[Step] = []
    for quantum in reversed(chunk.quanta):
        entry = earlier.get(quantum.id)
        attempt = entry.record.attempt + 1 if entry else 1
        if entry and (needed & _unwritten(entry) or not _fits(entry, keys[quantum.id], work)):
            entry = None
        if entry is None:
            needed |= set(quantum.inputs)
        config = digest_task(work.campaign.task(work.stage.name, quantum.task))
        steps.append(Step(quantum, keys[quantum.id], config, attempt, entry))
    return order_steps(steps[::-1])


def order_steps(steps: Sequence[Step]) -> list[Step]:
    """Order quanta so that what one hands over in memory is taken from there at once.

    A visit of a hundred detectors then holds the image of one, not of all.

    Parameters
    ----------
    steps
        Quanta, each after those that it takes from.
    """
    makers = {key: n for n, step in enumerate(steps) for key in step.quantum.outputs}
    waits = [{makers[key] for key in step.quantum.inputs if key in makers} for step in steps]
    takers: list[list[int]] = [[] for _ in steps]
    for n, own in enumerate(waits):
        for maker in own:
            takers[maker].append(n)
    left = [len(own) for own in waits]
    ordered: list[Step] = []
    # The last of the stack runs next: first those that wait for nothing, in their order.
    ready = [n for n in reversed(range(len(steps))) if not left[n]]
    while ready:
        maker = ready.pop()
        ordered.append(steps[maker])
        for n in reversed(takers[maker]):
            left[n] -= 1
            if not left[n]:
                ready.append(n)
    return ordered


def compute_keys(chunk: ChunkPlan, work: Workspace) -> dict[uuid.UUID, str]:
    """Digest, for each quantum of a chunk, its task, its settings and its inputs.

    An input from a file counts by its checksum, one made within the chunk by the key of its maker,
    and one that is absent by its absence.

    Parameters
    ----------
    chunk
        The quanta in order.
    work
        What there is.
    """
    versions = {key: record.checksum for key, record in work.available.items()}
    keys: dict[uuid.UUID, str] = {}
    for quantum in chunk.quanta:
        config = digest_task(work.campaign.task(work.stage.name, quantum.task))
        written = sorted(
            {work.datasets[key].ref.dataset_type.name for key in quantum.outputs} & work.retained
        )
        inputs = [[str(key), versions.get(key, "absent")] for key in quantum.inputs]
        keys[quantum.id] = digest([quantum.task, config, written, inputs])
        versions |= dict.fromkeys(quantum.outputs, keys[quantum.id])
    return keys


def _fits(entry: QuantumEntry, key: str, work: Workspace) -> bool:
    """Tell whether an earlier record stands for what would be made now."""
    return (
        entry.key == key
        and entry.record.status != "failed"
        and entry.record.code_version == code_version()
        and all(work.store.verify(file) for file in entry.files)
    )


def _unwritten(entry: QuantumEntry) -> set[uuid.UUID]:
    """Give what a quantum handed over in memory only."""
    return set(entry.record.outputs) - {file.id for file in entry.files}


def _run_step(
    step: Step,
    steps: list[Step],
    work: Workspace,
    chunk: ChunkPlan,
    plan: Plan,
    journal: Journal,
) -> QuantumEntry:
    """Run a quantum unless its record stands, and record how it ended."""
    if step.entry is not None:
        work.available |= {file.id: file for file in step.entry.files}
        _LOG.info("%s of %s stands", step.quantum.task, step.quantum.data_id)
        return step.entry
    work.wanted = _look_ahead(step, steps)
    meter, outcome, ended = Meter(), Outcome(), False
    with bind(task=step.quantum.task, data_id=step.quantum.data_id):
        try:
            outcome = run_quantum(step.quantum, work)
            ended = True
        finally:
            if not ended:
                outcome.status, outcome.message = "failed", traceback.format_exc(limit=-1).strip()
            entry = _make_entry(step, outcome, meter, work, chunk, plan)
            journal.append(entry)
            level = logging.WARNING if outcome.status == "flagged" else logging.INFO
            _LOG.log(level, "%s in %.2f s %s", outcome.status, entry.record.wall_s, outcome.message)
    _forget(work)
    return entry


def _make_entry(
    step: Step,
    outcome: Outcome,
    meter: Meter,
    work: Workspace,
    chunk: ChunkPlan,
    plan: Plan,
) -> QuantumEntry:
    """Write down how a quantum ended."""
    usage, quantum = meter.read(), step.quantum
    record = QuantumRecord(
        id=quantum.id,
        run=plan.campaign.run,
        stage=chunk.chunk.stage,
        task=quantum.task,
        chunk=chunk.chunk.name,
        data_id=quantum.data_id,
        status=outcome.status,
        message=outcome.message,
        wall_s=usage.wall_s,
        cpu_s=usage.cpu_s,
        max_rss_mb=usage.max_rss_mb,
        bytes_read=outcome.bytes_read,
        bytes_written=sum(file.size for file in outcome.files),
        host=platform.node(),
        started_mjd=usage.started_mjd,
        attempt=step.attempt,
        config_digest=step.config_digest,
        code_version=code_version(),
        environment=environment_digest(),
        inputs=tuple(i for i in quantum.inputs if i in work.available or i in work.values),
        outputs=outcome.outputs,
    )
    checksums = {i: work.available[i].checksum for i in record.inputs if i in work.available}
    # Without a key the record never stands: the next run tries again.
    key = step.key if outcome.is_final else ""
    return QuantumEntry(record, key, checksums, outcome.files)


def _look_ahead(step: Step, steps: list[Step]) -> frozenset[uuid.UUID]:
    """Say what the quanta after one will take."""
    rest = steps[next(i for i, other in enumerate(steps) if other is step) + 1 :]
    return frozenset(key for other in rest if other.entry is None for key in other.quantum.inputs)


def _forget(work: Workspace) -> None:
    """Let go of values and raws that no quantum after this one takes."""
    for key in (work.values.keys() | work.raw_files.keys()) - work.wanted:
        work.values.pop(key, None)
        work.raw_files.pop(key, None)
