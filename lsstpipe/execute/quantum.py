"""Run one quantum: gather its inputs, call its task, keep what the task made."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lsstpipe.butler import ProductStore
from lsstpipe.config import Campaign
from lsstpipe.data_model import DataId
from lsstpipe.errors import AlgorithmError, InputFileError, NoWorkFound
from lsstpipe.image.exposure import Exposure
from lsstpipe.plan.read import PlannedDataset, PlannedQuantum
from lsstpipe.registry.records import DatasetRecord, QuantumStatus
from lsstpipe.stages import Stage, Task
from lsstpipe.tasks.base import Port

if TYPE_CHECKING:
    from lsstpipe.instruments.raw import RawFile

_LOG = logging.getLogger(__name__)

_KEPT_BYTES = 4e8
"""Raws that are kept for the quanta after: two dozen of 2k x 4k pixels."""


@dataclass(slots=True)
class Workspace:
    """What the quanta of a chunk share.

    Attributes
    ----------
    stage, campaign
        What runs, and its settings.
    datasets
        Every dataset that a quantum of the chunk names, by id.
    available
        The files that there are, by id.
    values
        What earlier quanta handed over, by id.
    retained
        Dataset types that are written.
    store
        Where they are written.
    raw_files
        Raws that were read and will be again, by id.
    wanted
        What the quanta after the one that runs will take.
    """

    stage: Stage
    campaign: Campaign
    datasets: Mapping[uuid.UUID, PlannedDataset]
    available: dict[uuid.UUID, DatasetRecord]
    retained: frozenset[str]
    store: ProductStore
    values: dict[uuid.UUID, object] = field(default_factory=dict)
    raw_files: dict[uuid.UUID, RawFile] = field(default_factory=dict)
    wanted: frozenset[uuid.UUID] = frozenset()

    def task(self, name: str) -> Task:
        """Look up a task of the stage."""
        return next(task for task in self.stage.tasks if task.name == name)


@dataclass(slots=True)
class Outcome:
    """How a quantum ended.

    Attributes
    ----------
    status, message
        How, and why where it did not end in ``done``.
    outputs
        Ids of what it made.
    files
        What of that was written.
    bytes_read
        Size of the files that it read.
    is_final
        Whether the same inputs would give the same again: not so where a raw could not be read,
        for it may be mended.
    """

    status: QuantumStatus = "done"
    message: str = ""
    outputs: tuple[uuid.UUID, ...] = ()
    files: tuple[DatasetRecord, ...] = ()
    bytes_read: int = 0
    is_final: bool = True


def run_quantum(quantum: PlannedQuantum, work: Workspace) -> Outcome:
    """Run a quantum.

    Parameters
    ----------
    quantum
        Its inputs and outputs.
    work
        What the chunk has; what the quantum makes is added to it.

    Returns
    -------
    outcome
        ``done``; ``no_work`` where an input is absent or there is nothing to do; ``flagged`` where
        the data, or a file of them, cannot be processed.
    """
    task = work.task(quantum.task)
    outcome = Outcome()
    try:
        inputs = _gather(task, quantum, work, outcome)
        config = work.campaign.task(work.stage.name, task.name)
        made = task.module.run(inputs, config, quantum.data_id)
    except NoWorkFound as error:
        outcome.status, outcome.message = "no_work", str(error)
        return outcome
    except (AlgorithmError, InputFileError) as error:
        outcome.status, outcome.message = "flagged", str(error)
        outcome.is_final = not isinstance(error, InputFileError)
        return outcome
    _keep(task, quantum, made, work, outcome)
    return outcome


def _gather(task: Task, quantum: PlannedQuantum, work: Workspace, outcome: Outcome) -> object:
    """Make the Inputs of a task of what there is."""
    by_type: dict[str, list[uuid.UUID]] = {}
    for key in quantum.inputs:
        by_type.setdefault(work.datasets[key].ref.dataset_type.name, []).append(key)
    ports = task.inputs
    there: dict[str, list[uuid.UUID]] = {
        port.name: [
            key
            for key in by_type.get(port.dataset_type.name, [])
            if key in work.values or key in work.available
        ]
        for port in ports
    }
    _check_present(ports, there, quantum)
    arguments: dict[str, object] = {}
    for port in ports:
        keys = {work.datasets[key].ref.data_id: key for key in there[port.name]}
        if port.is_many and port.dataset_type.name == "raw":
            arguments[port.name] = _RawFrames(keys, work, outcome)
            continue
        read = _read_mask if port.is_mask else _read
        values = {data_id: read(key, work, outcome) for data_id, key in keys.items()}
        arguments[port.name] = values if port.is_many else next(iter(values.values()), None)
    return task.module.Inputs(**arguments)


class _RawFrames(Mapping[DataId, object]):
    """Raws that are read when they are looked at: many of a large camera do not fit into memory."""

    def __init__(self, keys: Mapping[DataId, uuid.UUID], work: Workspace, outcome: Outcome) -> None:
        self._keys = keys
        self._work = work
        self._outcome = outcome

    def __getitem__(self, data_id: DataId) -> object:
        return _read(self._keys[data_id], self._work, self._outcome)

    def __iter__(self) -> Iterator[DataId]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def _check_present(
    ports: tuple[Port, ...], there: Mapping[str, list[uuid.UUID]], quantum: PlannedQuantum
) -> None:
    """Find out whether an input is absent without which there is nothing to do.

    Raises
    ------
    NoWorkFound
        If one is.
    """
    for port in ports:
        if not (port.is_many or port.is_optional or there[port.name]):
            raise NoWorkFound(
                f"There is no {port.dataset_type.name} of {quantum.data_id or 'this campaign'}."
            )
    many = [port for port in ports if port.is_many]
    if many and not any(there[port.name] for port in many):
        names = " or ".join(port.dataset_type.name for port in many)
        raise NoWorkFound(f"There is no {names} of {quantum.data_id or 'this campaign'}.")


def _read(key: uuid.UUID, work: Workspace, outcome: Outcome) -> object:
    """Take a dataset that was handed over, or read its file."""
    if key in work.values:
        return work.values[key]
    if work.available[key].dataset_type != "raw":
        outcome.bytes_read += work.available[key].size
        return work.store.read(work.available[key])
    raw = _read_raw_file(key, work, outcome)
    # The first few fit, and the others are read again: if the oldest went, none would be found.
    kept = sum(file.pixels.nbytes for file in work.raw_files.values())
    if key in work.wanted and kept + raw.pixels.nbytes <= _KEPT_BYTES:
        work.raw_files[key] = raw
    return _exposure(key, raw, work)


def _read_mask(key: uuid.UUID, work: Workspace, outcome: Outcome) -> object:
    """Take the mask of an exposure alone: its other planes take no memory where it is read."""
    if key in work.values:
        made = work.values[key]
        assert isinstance(made, Exposure)
        return made.mask
    from lsstpipe.io.fits import read_mask

    record, datastore = work.available[key], work.store.datastore
    outcome.bytes_read += record.size
    content = datastore.read(record.path, record.checksum)
    return read_mask(content, datastore.resolve(record.path))


def _read_raw_file(key: uuid.UUID, work: Workspace, outcome: Outcome) -> RawFile:
    """Read a raw, which must be the one that was ingested, unless it was kept."""
    if (kept := work.raw_files.pop(key, None)) is not None:
        return kept
    record = work.available[key]
    outcome.bytes_read += record.size
    if not work.store.verify(record):
        raise InputFileError(
            f"{record.path} was changed or damaged since it was ingested; ingest it again."
        )
    return work.store.read_raw_file(record)


def _exposure(key: uuid.UUID, raw: RawFile, work: Workspace) -> object:
    """Make of a raw's file what tasks take."""
    # The cameras bring astropy, which not every job needs.
    from lsstpipe.instruments.raw import make_exposure

    return _with_pointing(make_exposure(raw, work.datasets[key].info), work.campaign)


def _with_pointing(value: object, campaign: Campaign) -> object:
    """Give a raw the campaign's pointing where its header has none."""
    pointing = campaign.pointing
    if pointing is None or not isinstance(value, Exposure) or value.info is None:
        return value
    if value.info.ra_deg == value.info.ra_deg:
        return value
    info = replace(value.info, ra_deg=pointing.ra_deg, dec_deg=pointing.dec_deg)
    return replace(value, info=info)


def _keep(
    task: Task, quantum: PlannedQuantum, made: object, work: Workspace, outcome: Outcome
) -> None:
    """Write what is kept, and hand everything over to the quanta after this one."""
    planned: dict[tuple[str, DataId], PlannedDataset] = {}
    for key in quantum.outputs:
        ref = work.datasets[key].ref
        planned[ref.dataset_type.name, ref.data_id] = work.datasets[key]
    outputs: list[uuid.UUID] = []
    files: list[DatasetRecord] = []
    for port in task.outputs:
        for data_id, value in _values(port, getattr(made, port.name), quantum.data_id):
            dataset = planned.get((port.dataset_type.name, data_id))
            if dataset is None:
                _LOG.info("%s of %s belongs to another quantum", port.dataset_type.name, data_id)
                continue
            work.values[dataset.ref.id] = value
            outputs.append(dataset.ref.id)
            if port.dataset_type.name in work.retained:
                record = work.store.write(dataset.ref, value, quantum.id)
                work.available[dataset.ref.id] = record
                files.append(record)
    outcome.outputs, outcome.files = tuple(outputs), tuple(files)


def _values(port: Port, value: Any, data_id: DataId) -> list[tuple[DataId, object]]:
    """Give the datasets of an output port with their data IDs."""
    if value is None:
        return []
    if not port.is_many:
        return [(_own(port, data_id), value)]
    return [(_own(port, key), item) for key, item in value.items()]


def _own(port: Port, data_id: DataId) -> DataId:
    return data_id.subset(port.dataset_type.dimensions)
