"""Rows of the registry as values: what a manifest carries and `Registry.load` takes."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lsstpipe.data_model import DataId

QuantumStatus = Literal["done", "no_work", "flagged", "failed"]
"""Outcome of a quantum: ``flagged`` is an AlgorithmError, ``failed`` a bug or the machine."""


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """One dataset that exists.

    Attributes
    ----------
    id
        Deterministic id of `make_ref`.
    dataset_type, data_id, run
        What it is.
    path
        Path below the datastore's root, or an absolute URL for files that lsstpipe did not write.
    size
        Bytes.
    checksum
        ``algorithm:hexdigest`` of the bytes.
    quantum_id
        The quantum that made it; None for what was ingested.
    """

    id: uuid.UUID
    dataset_type: str
    data_id: DataId
    run: str
    path: str
    size: int
    checksum: str
    quantum_id: uuid.UUID | None = None


def find_twins(records: Iterable[DatasetRecord]) -> tuple[DatasetRecord, DatasetRecord] | None:
    """Find two datasets of one type and data ID, of which a collection holds one at a time.

    Parameters
    ----------
    records
        The datasets; one may be among them twice.

    Returns
    -------
    twins
        In their order, those whose second comes first; None where there are none.
    """
    known: dict[tuple[str, DataId], DatasetRecord] = {}
    for record in records:
        other = known.setdefault((record.dataset_type, record.data_id), record)
        if other.id != record.id:
            return other, record
    return None


@dataclass(frozen=True, slots=True)
class QuantumRecord:
    """One execution of one task on one data ID, as it went.

    Attributes
    ----------
    id
        Deterministic id of run, task and data ID.
    run, stage, task, chunk, data_id
        What it was.
    status, message
        How it ended, and why where it did not end in ``done``.
    wall_s, cpu_s, max_rss_mb, bytes_read, bytes_written
        What it took.
    host, started_mjd, attempt
        Where, when (UTC MJD) and for which time.
    config_digest, code_version, environment
        Digest of the task's configuration; version of lsstpipe with its commit; digest of the
        versions of Python and of the packages.
    inputs, outputs
        Ids of the datasets that it read and wrote.
    """

    id: uuid.UUID
    run: str
    stage: str
    task: str
    chunk: str
    data_id: DataId
    status: QuantumStatus
    message: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_mb: float = 0.0
    bytes_read: int = 0
    bytes_written: int = 0
    host: str = ""
    started_mjd: float = 0.0
    attempt: int = 1
    config_digest: str = ""
    code_version: str = ""
    environment: str = ""
    inputs: tuple[uuid.UUID, ...] = ()
    outputs: tuple[uuid.UUID, ...] = ()
