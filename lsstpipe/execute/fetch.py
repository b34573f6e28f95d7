"""Fetch and import: datasets of a release or an exported collection come into a repository.

Everything that can be refused is refused before a file is written; where a copy fails, what was
copied goes again. The registry learns of the datasets when all files are in place.
"""

from __future__ import annotations

import uuid
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from lsstpipe.butler import Butler
from lsstpipe.data_model import DataId, make_ref
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.datastore import Datastore, Stored
from lsstpipe.errors import ConflictError, InputFileError
from lsstpipe.execute.index import Index
from lsstpipe.execute.index_sky import Sky, exposure_of, tracts_of
from lsstpipe.execute.transfer import Advance, for_each
from lsstpipe.registry.records import DatasetRecord, QuantumRecord, find_twins
from lsstpipe.registry.registry import Registry
from lsstpipe.repository import registry_url

_RAWS = "raws"
"""Run of the raws in a registry that lives as long as a query."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What came, or would come, into a repository.

    Attributes
    ----------
    source
        Where from.
    collection
        The tag of its datasets.
    n_files, n_bytes
        All that was asked for.
    n_copied, bytes_copied
        What was not there before.
    """

    source: str
    collection: str
    n_files: int
    n_bytes: int
    n_copied: int
    bytes_copied: int


def select(index: Index, where: str) -> list[DatasetRecord]:
    """Find datasets of an index as `Registry.query_datasets` finds them.

    Parameters
    ----------
    index
        What there is.
    where
        Such as ``type = 'visit_image' AND band = 'r' AND visit IN (1..20)``; empty for all.

    Raises
    ------
    UserError
        If the condition cannot be read.
    """
    if not where:
        return list(index.datasets)
    raws = []
    for info in index.sky.exposures:
        data_id = DataId(instrument=info.instrument, exposure=info.exposure, detector=info.detector)
        ref = make_ref(DATASET_TYPES["raw"], data_id, _RAWS)
        raws.append(DatasetRecord(ref.id, "raw", data_id, _RAWS, ref.path, 0, ""))
    with (
        TemporaryDirectory() as folder,
        Registry.create(registry_url(folder)) as registry,
    ):
        registry.load(index.datasets, index.quanta)
        registry.insert_exposures(index.sky.exposures, raws)
        found = registry.query_datasets(None, where)
    return [record for record in found if record.dataset_type != "raw"]


def take_in(
    butler: Butler,
    source: Datastore,
    index: Index,
    records: Sequence[DatasetRecord],
    *,
    jobs: int,
    advance: Advance,
) -> Intake:
    """Copy datasets into a repository, register and tag them; as often as you like.

    Parameters
    ----------
    butler
        The repository.
    source
        Where the files are.
    index
        What is there.
    records
        Which of it shall come.
    jobs
        How many files are copied at the same time; each is in memory as a whole.
    advance
        Called after each file with its path.

    Raises
    ------
    ConflictError
        If the repository has one of them with other content, or its run is frozen.
    InputFileError
        If a file is absent or damaged, or lies outside of the source.
    RepositoryError, TemporaryError
        If the repository cannot be written, or the source does not answer.
    """
    known = _check(butler, source, index, records)
    copied = _copy(butler.store.datastore, source, records, set(known), jobs, advance)
    try:
        _register(butler, index, records, known)
    except BaseException:
        _undo(butler.store.datastore, copied, known)
        raise
    return _summarise(source, index, records, copied)


def plan_intake(
    butler: Butler, source: Datastore, index: Index, records: Sequence[DatasetRecord]
) -> Intake:
    """Find out what `take_in` would do, and change nothing.

    Parameters
    ----------
    butler
        The repository.
    source
        Where the files are.
    index
        What is there.
    records
        Which of it shall come.
    """
    _check(butler, source, index, records)
    store = butler.store.datastore
    new = [record for record in records if store.size(record.path) != record.size]
    return _summarise(source, index, records, new)


def _check(
    butler: Butler, source: Datastore, index: Index, records: Sequence[DatasetRecord]
) -> dict[uuid.UUID, DatasetRecord]:
    """Refuse what contradicts the repository; give what it has of the same runs, by id."""
    collections = {found.name: found for found in butler.registry.collections()}
    if (tag := collections.get(index.collection)) is not None and tag.kind != "TAGGED":
        raise ConflictError(f"Collection '{tag.name}' is {tag.kind}, not TAGGED.")
    _check_tag(index, records, butler.registry.query_datasets(None, "", [tag.name]) if tag else [])
    known: dict[uuid.UUID, DatasetRecord] = {}
    runs = {record.run for record in records} | {quantum.run for quantum in index.quanta}
    for run in sorted(runs & set(collections)):
        if collections[run].kind != "RUN":
            raise ConflictError(f"Collection '{run}' is {collections[run].kind}, not RUN.")
        known |= {r.id: r for r in butler.registry.query_datasets(None, "", [run])}
    for record in records:
        what = f"{record.dataset_type} of {record.data_id}"
        if record.id not in known:
            if record.run in collections and collections[record.run].is_frozen:
                raise ConflictError(f"Run '{record.run}' is frozen, so it takes no {what}.")
        elif known[record.id].checksum != record.checksum:
            raise ConflictError(f"The run '{record.run}' has another {what}.")
        _check_inside(source, record)
    return known


def _check_tag(
    index: Index, records: Sequence[DatasetRecord], tagged: Sequence[DatasetRecord]
) -> None:
    """Refuse what the tag cannot hold: it is given last, when datasets and files are in place."""
    if not index.collection.strip():
        raise InputFileError("The index names no collection that its datasets belong to.")
    if twins := find_twins([*tagged, *records]):
        other, record = twins
        raise ConflictError(
            f"'{index.collection}' has {record.dataset_type} of {record.data_id} from run "
            f"'{other.run}', so it cannot hold that of run '{record.run}'; take the other one "
            "out of it first (`lsstpipe collection release`)."
        )


def _check_inside(source: Datastore, record: DatasetRecord) -> None:
    """Refuse a link that leads out of a folder."""
    path, root = source.local_path(record.path), source.local_path("")
    if path is None or root is None:
        return
    if not path.resolve().is_relative_to(root.resolve()):
        raise InputFileError(f"{path} leads out of {root}.")


def _copy(
    target: Datastore,
    source: Datastore,
    records: Sequence[DatasetRecord],
    known: set[uuid.UUID],
    jobs: int,
    advance: Advance,
) -> list[DatasetRecord]:
    """Copy what is not there; take it away again if one of them fails."""
    copied: list[DatasetRecord] = []

    def copy(record: DatasetRecord) -> None:
        if target.holds(Stored(record.path, record.size, record.checksum)):
            return
        content = source.read(record.path, record.checksum)
        if record.id in known:
            target.write(record.path, content)  # the registry says so, hence its file is damaged
        else:
            target.create(record.path, content)
        copied.append(record)

    try:
        for record, _ in for_each(records, copy, jobs):
            advance(record.path)
    except BaseException:
        _undo(target, copied, known)
        raise
    return copied


def _undo(target: Datastore, copied: Sequence[DatasetRecord], known: Container[uuid.UUID]) -> None:
    """Remove files, and the folders that they leave empty."""
    for record in copied:
        if record.id in known:
            continue
        target.remove(record.path)
        path, root = target.local_path(record.path), target.local_path("")
        if path is None or root is None:
            continue
        for folder in path.parents:
            if folder == root or any(folder.iterdir()):
                break
            folder.rmdir()


def _register(
    butler: Butler,
    index: Index,
    records: Sequence[DatasetRecord],
    known: Mapping[uuid.UUID, DatasetRecord],
) -> None:
    new = [record for record in records if record.id not in known]
    if new:
        # A quantum that the registry has comes with datasets that are not ours to forget.
        there = {record.quantum_id for record in known.values()}
        quanta = [q for q in find_lineage(index.quanta, new) if q.id not in there]
        digests = {digest for q in quanta for digest in (q.config_digest, q.environment)}
        butler.registry.insert_documents(
            {key: text for key, text in index.documents.items() if key in digests}
        )
        # By themselves: that a quantum is there says nothing of its datasets, which may be pruned.
        butler.registry.load([], quanta)
        butler.registry.load(new)
    _register_sky(butler, index.sky, records)
    butler.registry.tag(index.collection, [record.id for record in records])


def _register_sky(butler: Butler, sky: Sky, records: Sequence[DatasetRecord]) -> None:
    """Tell the registry what conditions and places ask for; what it knows itself stays.

    Raws do not come, so an exposure hangs on the first dataset that was made of it.
    """
    holders: dict[tuple[str, int], DatasetRecord] = {}
    for record in sorted(records, key=lambda r: r.id):
        if (key := exposure_of(record.data_id)) is not None:
            holders.setdefault(key, record)
    infos = [info for info in sky.exposures if (info.instrument, info.exposure) in holders]
    own = [holders[info.instrument, info.exposure] for info in infos]
    if infos:
        butler.registry.insert_exposures(infos, own, sky.outlines)
    tracts = tracts_of(records)
    known = {patch[:3] for patch in butler.registry.query_patches(tracts)}
    for skymap in sorted({skymap for skymap, _ in tracts}):
        new = [
            (tract, patch, corners)
            for name, tract, patch, corners in sky.patches
            if name == skymap and (name, tract) in tracts and (name, tract, patch) not in known
        ]
        butler.registry.insert_patches(skymap, new)


def find_lineage(
    quanta: Sequence[QuantumRecord], records: Sequence[DatasetRecord]
) -> list[QuantumRecord]:
    """Find the quanta that led to datasets.

    Parameters
    ----------
    quanta
        All that are known.
    records
        The datasets.
    """
    by_id = {quantum.id: quantum for quantum in quanta}
    makers = {output: quantum for quantum in quanta for output in quantum.outputs}
    stack = [by_id[record.quantum_id] for record in records if record.quantum_id is not None]
    found: dict[uuid.UUID, QuantumRecord] = {}
    while stack:
        quantum = stack.pop()
        if quantum.id not in found:
            found[quantum.id] = quantum
            stack += [makers[item] for item in quantum.inputs if item in makers]
    return list(found.values())


def _summarise(
    source: Datastore,
    index: Index,
    records: Sequence[DatasetRecord],
    copied: Sequence[DatasetRecord],
) -> Intake:
    return Intake(
        source.root,
        index.collection,
        len(records),
        sum(record.size for record in records),
        len(copied),
        sum(record.size for record in copied),
    )
