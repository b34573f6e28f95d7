"""Export: a collection as a folder that stands for itself, as `lsstpipe import` takes it."""

from __future__ import annotations

from pathlib import Path

from lsstpipe.butler import Butler
from lsstpipe.datastore import Datastore
from lsstpipe.datastore.layout import INDEX
from lsstpipe.errors import ConflictError
from lsstpipe.execute.index import make_index, place_of, read_index
from lsstpipe.execute.publish import (
    Publication,
    copy_products,
    find_absent,
    select_products,
    summarise,
)
from lsstpipe.execute.transfer import Advance


def export(
    butler: Butler, collection: str, folder: Path, *, jobs: int, advance: Advance
) -> Publication:
    """Copy a collection into a folder, with an index; the collection stays as it is.

    Doing it again completes a folder that a kill left half full.

    Parameters
    ----------
    butler
        The repository.
    collection
        Name of a run, a tag or a chain.
    folder
        Where to; made where it is not there.
    jobs
        How many files are copied at the same time; each is in memory as a whole.
    advance
        Called after each file with its path.

    Raises
    ------
    InputFileError
        If a file is absent or damaged.
    ConflictError
        If the folder has an export of another collection, or a file with other content.
    RepositoryError
        If the folder cannot be written.
    """
    records, n_raws = select_products(butler, collection)
    target = Datastore(folder.absolute())
    tag = _tag(butler, collection)
    _check_folder(target, tag)
    absent = {record.id for record in find_absent(target, records)}
    copied = copy_products(butler, target, records, absent, jobs=jobs, advance=advance)
    index = make_index(butler.registry, tag, [place_of(record) for record in records])
    target.write(INDEX, index.to_bytes())
    return summarise(str(folder), tag, records, copied, n_raws)


def plan_export(butler: Butler, collection: str, folder: Path) -> Publication:
    """Find out what `export` would do, and change nothing.

    Parameters
    ----------
    butler
        The repository.
    collection
        What to export.
    folder
        Where to.
    """
    records, n_raws = select_products(butler, collection)
    target = Datastore(folder.absolute())
    tag = _tag(butler, collection)
    _check_folder(target, tag)
    return summarise(str(folder), tag, records, find_absent(target, records), n_raws)


def _tag(butler: Butler, collection: str) -> str:
    """Name the tag of the export: a tag keeps its name, a run or a chain cannot lend its own."""
    kinds = {found.name: found.kind for found in butler.registry.collections()}
    return collection if kinds.get(collection) == "TAGGED" else f"imported/{collection}"


def _check_folder(target: Datastore, tag: str) -> None:
    """Refuse a folder that holds another export."""
    if target.exists(INDEX) and (found := read_index(target).collection) != tag:
        raise ConflictError(f"{target.root} has an export of '{found}' already, not of '{tag}'.")
