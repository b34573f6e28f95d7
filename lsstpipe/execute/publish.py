"""Publish: a collection goes from a disk into the product bucket, and changes no more.

In this order, so that a kill at any instant is harmless and doing it again goes on from there:

1. the bucket is listed and the files are looked for: most mistakes end here, with nothing done;
2. the runs are frozen, so nothing changes while it is copied; a file that turns out to be damaged
   may still be made again, since a frozen run takes the same content;
3. each file is read, checked against the registry, and created in the bucket;
4. the datasets get the tag of the prefix, so the tag names nothing that is not in the bucket;
5. the index of all that has the tag is written beside the files.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from lsstpipe.butler import Butler
from lsstpipe.datastore import Datastore, Stored
from lsstpipe.datastore.atomic import write_atomically
from lsstpipe.datastore.layout import INDEX
from lsstpipe.errors import ConflictError, InputFileError
from lsstpipe.execute.index import make_index, place_of
from lsstpipe.execute.transfer import Advance, for_each
from lsstpipe.registry.records import DatasetRecord, find_twins


@dataclass(frozen=True, slots=True)
class Publication:
    """What was, or would be, published.

    Attributes
    ----------
    root
        Where.
    collection
        The tag of its datasets.
    n_files, n_bytes
        All of it.
    n_copied, bytes_copied
        What was not there before.
    n_raws
        Raws, which are left out: they are ingested from where they lie.
    digest
        Of the paths and checksums of all files: the same where the same is published.
    """

    root: str
    collection: str
    n_files: int
    n_bytes: int
    n_copied: int
    bytes_copied: int
    n_raws: int
    digest: str

    def describe(self, would: str) -> str:
        """Say it in a sentence or two.

        Parameters
        ----------
        would
            ``were`` or ``would be``.
        """
        raws = f" {self.n_raws} raws are left out: ingest them." if self.n_raws else ""
        return (
            f"{self.n_copied} of {self.n_files} files ({self.bytes_copied / 1e6:,.1f} of "
            f"{self.n_bytes / 1e6:,.1f} MB) {would} copied to {self.root}; tag {self.collection}."
            f"{raws}"
        )


def select_products(butler: Butler, collection: str) -> tuple[list[DatasetRecord], int]:
    """Find the datasets of a collection without its raws, and the number of the raws.

    Parameters
    ----------
    butler
        The repository.
    collection
        Name of a run, a tag or a chain.

    Raises
    ------
    InputFileError
        If there is nothing in it.
    ConflictError
        If it has two datasets of one data ID, as one with calibrations may: a tag cannot.
    """
    found = butler.registry.query_datasets(None, "", [collection])
    products = [record for record in found if record.dataset_type != "raw"]
    if not products:
        raise InputFileError(f"The collection '{collection}' of {butler.root} has no products.")
    if twins := find_twins(products):
        other, record = twins
        raise ConflictError(
            f"'{collection}' has {record.dataset_type} of {record.data_id} of the runs "
            f"'{other.run}' and '{record.run}', which hold at different times; take the runs."
        )
    return products, len(found) - len(products)


def find_absent(datastore: Datastore, records: Sequence[DatasetRecord]) -> list[DatasetRecord]:
    """Find the datasets of which a datastore has no file, by one listing.

    Parameters
    ----------
    datastore
        Where to look.
    records
        Datasets.
    """
    there = {found.path for found in datastore.scan()}
    return [record for record in records if place_of(record).path not in there]


def publish(
    butler: Butler, collection: str, root: str, tag: str, *, jobs: int, advance: Advance
) -> Publication:
    """Freeze the runs of a collection, copy it into a bucket, tag its datasets, write the index.

    Parameters
    ----------
    butler
        The repository.
    collection
        What to publish.
    root
        Where to, such as ``s3://bucket/releases/dp1``.
    tag
        The tag that its datasets get.
    jobs
        How many files are copied at the same time; each is in memory as a whole.
    advance
        Called after each file with its path.

    Raises
    ------
    InputFileError
        If a file is absent or damaged.
    ConflictError
        If the bucket has a file with other content, or the tag a dataset of another run.
    RepositoryError, TemporaryError
        If the bucket cannot be written.
    """
    records, n_raws = select_products(butler, collection)
    target = Datastore(root)
    absent = {record.id for record in find_absent(target, records)}
    _check_tag(butler, tag, records)
    _check_files(butler, records)
    for run in sorted({record.run for record in records}):
        butler.registry.freeze(run)
    records, _ = select_products(butler, collection)  # as they are from now on

    copied = copy_products(butler, target, records, absent, jobs=jobs, advance=advance)
    butler.registry.tag(tag, [record.id for record in records])
    write_index(butler, target, tag)
    return summarise(root, tag, records, copied, n_raws)


def copy_products(
    butler: Butler,
    target: Datastore,
    records: Sequence[DatasetRecord],
    absent: Container[uuid.UUID],
    *,
    jobs: int,
    advance: Advance,
) -> list[DatasetRecord]:
    """Create the files of datasets that a datastore does not hold, and give these datasets.

    Parameters
    ----------
    butler
        The repository that has them.
    target
        Where to.
    records
        Datasets.
    absent
        Ids of those of which there is no file, so nobody need ask.
    jobs, advance
        As of `publish`.
    """

    def copy(record: DatasetRecord) -> bool:
        place = place_of(record).path
        stored = Stored(place, record.size, record.checksum)
        if record.id not in absent and target.holds(stored):
            return False
        target.create(place, butler.store.datastore.read(record.path, record.checksum))
        return True

    copied: list[DatasetRecord] = []
    for record, is_new in for_each(records, copy, jobs):
        advance(record.path)
        if is_new:
            copied.append(record)
    return copied


def plan_publication(butler: Butler, collection: str, root: str, tag: str) -> Publication:
    """Find out what `publish` would do, and change nothing.

    Parameters
    ----------
    butler
        The repository.
    collection
        What to publish.
    root, tag
        Where to, and the tag.
    """
    records, n_raws = select_products(butler, collection)
    _check_tag(butler, tag, records)
    _check_files(butler, records)
    return summarise(root, tag, records, find_absent(Datastore(root), records), n_raws)


def write_index(butler: Butler, target: Datastore, tag: str) -> None:
    """Describe all that has a tag beside its files.

    Parameters
    ----------
    butler
        The repository.
    target
        Where the files are.
    tag
        The tag.
    """
    records = butler.registry.query_datasets(None, "", [tag])
    index = make_index(butler.registry, tag, [place_of(record) for record in records])
    target.write(INDEX, index.to_bytes())


def write_record(path: Path, collection: str, done: Publication) -> None:
    """Note what was published, in the same words however often it took to be done.

    Parameters
    ----------
    path
        File, made anew.
    collection
        Collection that was published.
    done
        What was published.
    """
    record = {
        "target": done.root,
        "collection": collection,
        "tag": done.collection,
        "n_files": done.n_files,
        "n_bytes": done.n_bytes,
        "digest": done.digest,
    }
    write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())


def _check_files(butler: Butler, records: Sequence[DatasetRecord]) -> None:
    """Refuse a collection that is not whole."""
    for record in records:
        if butler.store.datastore.size(record.path) != record.size:
            where = butler.store.datastore.resolve(record.path)
            raise InputFileError(f"{where} is absent or was changed, so it cannot be published.")


def _check_tag(butler: Butler, tag: str, records: Sequence[DatasetRecord]) -> None:
    """Refuse the name of a collection that is no tag, and a second version of what has it."""
    kinds = {found.name: found.kind for found in butler.registry.collections()}
    if tag not in kinds:
        return
    if kinds[tag] != "TAGGED":
        raise ConflictError(f"Collection '{tag}' is {kinds[tag]}, not TAGGED.")
    tagged = butler.registry.query_datasets(None, "", [tag])
    if twins := find_twins([*tagged, *records]):
        other, record = twins
        raise ConflictError(
            f"'{tag}' has {record.dataset_type} of {record.data_id} from run '{other.run}' "
            f"already; publish that of run '{record.run}' under another right."
        )


def summarise(
    root: str,
    tag: str,
    records: Sequence[DatasetRecord],
    copied: Sequence[DatasetRecord],
    n_raws: int,
) -> Publication:
    """Count what was, or would be, published.

    Parameters
    ----------
    root, tag
        Where, and the tag.
    records, copied
        All of it, and what was not there before.
    n_raws
        Raws that are left out.
    """
    return Publication(
        root,
        tag,
        len(records),
        _bytes(records),
        len(copied),
        _bytes(copied),
        n_raws,
        _digest(records),
    )


def _digest(records: Sequence[DatasetRecord]) -> str:
    lines = sorted(f"{place_of(record).path} {record.checksum}\n" for record in records)
    return hashlib.blake2b("".join(lines).encode(), digest_size=16).hexdigest()


def _bytes(records: Sequence[DatasetRecord]) -> int:
    return sum(record.size for record in records)
