"""Get, put and find datasets: the registry, the datastore and the formats behind one door."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING

from lsstpipe import io
from lsstpipe.data_model import DataId, DataIdValue, DatasetRef, DatasetType, make_ref
from lsstpipe.datasets import as_dataset_type, name_dataset
from lsstpipe.datastore import Datastore, Stored
from lsstpipe.errors import InputFileError, RepositoryError
from lsstpipe.registry.address import require_present
from lsstpipe.registry.direct import Direct, OtherCollectionError
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.source import Source
from lsstpipe.repository import (
    Repository,
    make_repository,
    open_datastore,
    registry_url,
    require_run_name,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from lsstpipe.geometry.box import Box
    from lsstpipe.geometry.position import Position
    from lsstpipe.image.exposure import Exposure, ObservationInfo
    from lsstpipe.instruments.raw import RawFile
    from lsstpipe.registry.registry import Registry


class ProductStore:
    """Datasets as values, by reference or record, without a registry: what a job reads and writes.

    Parameters
    ----------
    where
        Root of the repository, or a datastore of one's own.
    """

    def __init__(self, where: str | Path | Datastore) -> None:
        self.datastore = where if isinstance(where, Datastore) else open_datastore(where)

    def write(
        self, ref: DatasetRef, value: object, quantum_id: uuid.UUID | None = None
    ) -> DatasetRecord:
        """Write a dataset, instead of the one that is there, if any.

        Parameters
        ----------
        ref
            What it is.
        value
            Of the type that its storage class asks for.
        quantum_id
            The quantum that made it.
        """
        stored = self.datastore.write(ref.path, io.write(value, ref.dataset_type.storage))
        return DatasetRecord(
            id=ref.id,
            dataset_type=ref.dataset_type.name,
            data_id=ref.data_id,
            run=ref.run,
            path=stored.path,
            size=stored.size,
            checksum=stored.checksum,
            quantum_id=quantum_id,
        )

    def read(
        self, dataset: DatasetRef | DatasetRecord, info: ObservationInfo | None = None
    ) -> object:
        """Read a dataset; the bytes of a record must have its checksum.

        Parameters
        ----------
        dataset
            What it is.
        info
            Of a raw, what its header says, where that is known.

        Raises
        ------
        InputFileError
            If its file is absent, damaged or changed.
        """
        kind = _type_of(dataset)
        if kind.storage == "raw":
            from lsstpipe.instruments.raw import make_exposure

            return make_exposure(self.read_raw_file(dataset), info)
        checksum = dataset.checksum if isinstance(dataset, DatasetRecord) else ""
        content = self.datastore.read(dataset.path, checksum)
        return io.read(content, kind.storage, self.datastore.resolve(dataset.path))

    def read_cutout(self, dataset: DatasetRef | DatasetRecord, box: Box) -> Exposure:
        """Read the part of an exposure that lies in a box, and no more of its file than needed.

        Parameters
        ----------
        dataset
            What it is.
        box
            What to read, in absolute pixels; within the box of the exposure.

        Raises
        ------
        InputFileError
            If its file is absent or damaged, or the box does not lie within it.
        """
        from lsstpipe.io.cutout import read_cutout

        n_bytes = dataset.size if isinstance(dataset, DatasetRecord) else None
        if n_bytes is None and (n_bytes := self.datastore.size(dataset.path)) is None:
            raise InputFileError(f"{self.datastore.resolve(dataset.path)} is not there.")
        name = self.datastore.resolve(dataset.path)
        return read_cutout(
            lambda ranges: self.datastore.read_ranges(dataset.path, ranges), n_bytes, box, name
        )

    def exists(self, dataset: DatasetRef | DatasetRecord) -> bool:
        """Tell whether its file is there.

        Parameters
        ----------
        dataset
            What it is.
        """
        return self.datastore.exists(dataset.path)

    def verify(self, record: DatasetRecord) -> bool:
        """Tell whether its file is there with the right size and checksum.

        Parameters
        ----------
        record
            What it should be.
        """
        return self.datastore.verify(Stored(record.path, record.size, record.checksum))

    def remove(self, dataset: DatasetRef | DatasetRecord) -> None:
        """Remove its file; nothing happens if it is not there.

        Parameters
        ----------
        dataset
            What it is.
        """
        self.datastore.remove(dataset.path)

    def read_raw_file(self, dataset: DatasetRef | DatasetRecord) -> RawFile:
        """Read a raw as it is in its file: from it `make_exposure` makes what `read` gives.

        Parameters
        ----------
        dataset
            What it is.

        Raises
        ------
        InputFileError
            If its file is absent or damaged.
        """
        # The cameras bring astropy, which few commands need.
        from lsstpipe.instruments.raw import get_camera, read_raw_file

        camera = get_camera(str(dataset.data_id["instrument"]))
        if (path := self.datastore.local_path(dataset.path)) is not None:
            return read_raw_file(path, camera)
        with TemporaryDirectory() as folder:  # cameras read files, not bytes
            copy = Path(folder) / PurePosixPath(dataset.path).name
            checksum = dataset.checksum if isinstance(dataset, DatasetRecord) else ""
            copy.write_bytes(self.datastore.read(dataset.path, checksum))
            return read_raw_file(copy, camera)


class Butler:
    """The datasets of a repository, by type and data ID.

    Parameters
    ----------
    root
        Folder of the repository.
    collections
        Collections that `get` and `find` search, in this order; the run where none are given.
    run
        Run that `put` writes to.

    Raises
    ------
    RepositoryError
        If there is no repository, or a newer one than this code knows, or the run has a name that
        cannot be a folder.
    """

    def __init__(
        self, root: str | Path, collections: Sequence[str] = (), run: str | None = None
    ) -> None:
        self.root = Path(root)
        if run:
            require_run_name(run)
        self.run = run
        self.collections = tuple(collections) or ((run,) if run else ())
        self._direct = Direct(Source(registry_url(root)))
        require_present(self._direct.source.address)
        if not self._direct.is_current():
            # Opening all of it says what is wrong, or brings it up to date.
            self._direct = self.registry.direct
        self.store = ProductStore(root)

    @cached_property
    def registry(self) -> Registry:
        """The whole registry, which brings SQLAlchemy: to get, find and put do without it."""
        from lsstpipe.registry.registry import Registry

        self._direct.source.close()
        whole = Registry.open(self._direct.source.address)
        self._direct = whole.direct
        return whole

    @classmethod
    def create(
        cls, root: str | Path, *, settings: Repository | None = None, exist_ok: bool = False
    ) -> None:
        """Make a repository.

        Parameters
        ----------
        root
            Its folder.
        settings
            Its registry, if that is no file in the folder, and where else it reads files.
        exist_ok
            Whether one that is there is left as it is.

        Raises
        ------
        RepositoryError
            If there is one, or one with other settings, or the folder cannot be written.
        """
        make_repository(Path(root), settings, exist_ok=exist_ok)

    def close(self) -> None:
        """Close the registry."""
        self._direct.source.close()

    def __enter__(self) -> Butler:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def put(
        self,
        value: object,
        kind: DatasetType | str,
        data_id: Mapping[str, DataIdValue] | None = None,
        **more: DataIdValue,
    ) -> DatasetRecord:
        """Write a dataset into the run: the file first, then the registry.

        Doing it again writes the same dataset again.

        Parameters
        ----------
        value
            Of the type that its storage class asks for.
        kind
            Its type.
        data_id, more
            The dimensions of the type.

        Raises
        ------
        RepositoryError
            If the butler has no run or the repository cannot be written.
        ConflictError
            If the run is frozen.
        """
        if not self.run:
            raise RepositoryError("This butler only reads: it was opened without a run.")
        ref = make_ref(*name_dataset(kind, data_id, **more), self.run)
        if self.store.exists(ref):  # it may be a published dataset, whose file must stay
            self.registry.require_open(self.run)
        record = self.store.write(ref, value)
        if not self._direct.put(record):
            self.registry.load([record])
        return record

    def find(
        self,
        kind: DatasetType | str,
        data_id: Mapping[str, DataIdValue] | None = None,
        **more: DataIdValue,
    ) -> DatasetRecord | None:
        """Find the first dataset of a type and data ID in the collections.

        Parameters
        ----------
        kind
            Its type.
        data_id, more
            The dimensions of the type.
        """
        own, where = name_dataset(kind, data_id, **more)
        if "registry" not in vars(self):
            with suppress(OtherCollectionError):
                return self._direct.find(own, where, self.collections)
        return self.registry.find(own, where, self.collections)

    def get(
        self,
        kind: DatasetType | str,
        data_id: Mapping[str, DataIdValue] | None = None,
        **more: DataIdValue,
    ) -> object:
        """Read a dataset.

        Parameters
        ----------
        kind, data_id, more
            As of `find`.

        Raises
        ------
        RepositoryError
            If there is none in the collections.
        """
        record = self.find(kind, data_id, **more)
        if record is None:
            raise RepositoryError(
                f"There is no {as_dataset_type(kind).name} of {dict(DataId(data_id, **more))} in "
                f"{', '.join(self.collections) or 'no collection'}."
            )
        return self.store.read(record)

    def exists(
        self,
        kind: DatasetType | str,
        data_id: Mapping[str, DataIdValue] | None = None,
        **more: DataIdValue,
    ) -> bool:
        """Tell whether a dataset is in the collections and its file is there.

        Parameters
        ----------
        kind, data_id, more
            As of `find`.
        """
        record = self.find(kind, data_id, **more)
        return record is not None and self.store.exists(record)

    def query(
        self,
        kind: DatasetType | str | None = None,
        where: str = "",
        position: Position | None = None,
    ) -> list[DatasetRecord]:
        """Find the datasets of the collections, or of every run where there are none.

        Parameters
        ----------
        kind, where, position
            As of `Registry.query_datasets`.
        """
        return self.registry.query_datasets(kind, where, self.collections or None, position)

    def query_table(
        self,
        kind: DatasetType | str | None = None,
        where: str = "",
        position: Position | None = None,
    ) -> pa.Table:
        """Find datasets as `query` does; give a table, one row each.

        ``butler.query_table("visit_image").to_pandas()`` needs pandas besides; parameters are those
        of `query`.
        """
        from lsstpipe.registry.arrow import to_table

        return to_table(self.query(kind, where, position))


def _type_of(dataset: DatasetRef | DatasetRecord) -> DatasetType:
    return as_dataset_type(dataset.dataset_type)
