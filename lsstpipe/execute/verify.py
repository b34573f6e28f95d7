"""Verify: find the datasets that are not where they should be, or not as they were written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lsstpipe.datastore import Datastore, Stored
from lsstpipe.datastore.stored import compute_checksum
from lsstpipe.errors import InputFileError
from lsstpipe.execute.transfer import Advance, for_each
from lsstpipe.registry.records import DatasetRecord

Fault = Literal["absent", "size", "checksum", "unreadable"]


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is not as it was written: where it should be, and what is wrong."""

    record: DatasetRecord
    where: str
    fault: Fault


def verify(
    datastore: Datastore,
    records: Sequence[DatasetRecord],
    *,
    jobs: int,
    quick: bool,
    advance: Advance,
) -> list[Damage]:
    """Find the datasets whose files are absent or not as they were written.

    Parameters
    ----------
    datastore
        Where they should be.
    records
        What they should be.
    jobs
        How many files are looked at at the same time.
    quick
        Whether to trust sizes, and on S3 the checksums that objects were written with.
    advance
        Called after each file with its path.

    Returns
    -------
    damages
        By path.
    """

    def look(record: DatasetRecord) -> Fault | None:
        try:
            return judge(record)
        except InputFileError:
            return "unreadable"

    def judge(record: DatasetRecord) -> Fault | None:
        size = datastore.size(record.path)
        if size != record.size:
            return "absent" if size is None else "size"
        if quick and datastore.local_path(record.path) is not None:
            return None
        if quick:
            is_whole = datastore.holds(Stored(record.path, record.size, record.checksum))
        else:
            # Not `Datastore.verify`, which does not tell what is damaged from what cannot be read.
            is_whole = compute_checksum(datastore.read(record.path)) == record.checksum
        return None if is_whole else "checksum"

    damages = []
    for record, fault in for_each(records, look, jobs):
        advance(record.path)
        if fault is not None:
            damages.append(Damage(record, datastore.resolve(record.path), fault))
    return sorted(damages, key=lambda damage: damage.record.path)
