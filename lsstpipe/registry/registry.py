"""The registry: what exists, where it came from, and how to find it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lsstpipe.data_model import DataId
from lsstpipe.datasets import DATASET_TYPES
from lsstpipe.errors import RepositoryError
from lsstpipe.registry import (
    calibrations,
    collections,
    dataset_types,
    exposures,
    loading,
    provenance,
    removal,
)
from lsstpipe.registry.address import Address, require_present
from lsstpipe.registry.database import Database
from lsstpipe.registry.exposures import Polygon
from lsstpipe.registry.migrations import bring_up_to_date, is_begun, lock_schema
from lsstpipe.registry.provenance import Document
from lsstpipe.registry.reading import RegistryReader, repeated
from lsstpipe.registry.records import DatasetRecord, QuantumRecord
from lsstpipe.registry.schema import SCHEMA_VERSION
from lsstpipe.registry.tables import METADATA, place_indexes, schema_version

if TYPE_CHECKING:
    from lsstpipe.image.exposure import ObservationInfo

_ANALYZE_FROM = 1000
"""Rows of one load after which the database renews the statistics of its query planner."""

INGEST_BATCH = 20_000
"""Datasets that `Registry.ingest` registers in one transaction."""


class Registry(RegistryReader):
    """Datasets, collections, calibrations, exposures and quanta in a database.

    Every method is one transaction of a constant number of statements. Make one by `create` or
    `open`; it is a context manager that closes its connections.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.type_ids: dict[str, int] = {}

    @classmethod
    def create(cls, url: str | Address, *, exist_ok: bool = False) -> Registry:
        """Make the registry of a new repository.

        Parameters
        ----------
        url
            As in `lsstpipe.registry.address`, such as ``sqlite:////data/repo/registry.sqlite3``.
        exist_ok
            Whether one that is there is opened instead.

        Raises
        ------
        RepositoryError
            If there is one, or the database is of something else or cannot be written.
        """
        database = Database(url)
        registry = cls(database)
        with database.closed_on_error():
            # Whether a server has one is seen when its tables are made.
            if database.is_server or not is_begun(database):
                database.prepare()
                if database.repeat(registry._create_tables):
                    return registry
            if not exist_ok:
                raise RepositoryError(f"{database.name} is a registry already.")
        database.close()
        return cls.open(url)

    def _create_tables(self) -> bool:
        """Make all tables in one transaction, unless they are there."""
        with self.database.write() as connection:
            lock_schema(connection)
            if sa.inspect(connection).has_table(schema_version.name):
                return False
            METADATA.create_all(connection)
            for index in place_indexes():
                index.create(connection)
            connection.execute(sa.insert(schema_version).values(version=SCHEMA_VERSION))
            self._register(connection, DATASET_TYPES)
            return True

    @classmethod
    def open(cls, url: str | Address) -> Registry:
        """Open the registry of a repository; one of an older schema is brought up to date.

        Parameters
        ----------
        url
            As in `lsstpipe.registry.address`.

        Raises
        ------
        RepositoryError
            If there is none, or its schema is newer than this code.
        """
        database = Database(url)
        require_present(database.address)
        with database.closed_on_error():
            database.repeat(lambda: bring_up_to_date(database))
        return cls(database)

    def close(self) -> None:
        """Give the connections back."""
        self.database.close()

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # What exists

    @repeated
    def load(self, datasets: Sequence[DatasetRecord], quanta: Sequence[QuantumRecord] = ()) -> None:
        """Make the registry say what these records say; see `loading.load`.

        Parameters
        ----------
        datasets, quanta
            What exists and how it was made.
        """
        with self.database.write() as connection:
            self._register(connection, (record.dataset_type for record in datasets))
            loading.load(connection, self.type_ids, datasets, quanta)
            if len(datasets) + len(quanta) >= _ANALYZE_FROM:
                loading.analyze(connection, len(datasets))

    def put(self, record: DatasetRecord) -> None:
        """Register one dataset: one round trip to a server, if its run is there and open.

        Parameters
        ----------
        record
            The dataset; it replaces one of the same id.

        Raises
        ------
        ConflictError
            If its run is frozen and has not the same.
        """
        if not self.direct.put(record):
            self.load([record])

    def ingest(self, records: Iterable[DatasetRecord]) -> int:
        """Register datasets that exist, any number with little memory; see `loading.ingest`.

        Each batch of `INGEST_BATCH` is one transaction: what was stopped goes on by doing it again.

        Parameters
        ----------
        records
            The datasets, which are taken one by one.

        Returns
        -------
        int
            Number of datasets that were not there.

        Raises
        ------
        ConflictError
            If one is there with other content; its batch is left out as a whole.
        """
        remaining, n_new = iter(records), 0
        while batch := list(islice(remaining, INGEST_BATCH)):
            n_new += self._ingest_batch(batch)
        return n_new

    @repeated
    def _ingest_batch(self, batch: Sequence[DatasetRecord]) -> int:
        with self.database.write() as connection:
            self._register(connection, (record.dataset_type for record in batch))
            n_new = loading.ingest(connection, self.type_ids, batch)
            if n_new >= _ANALYZE_FROM:
                loading.analyze(connection, n_new)
        return n_new

    @repeated
    def insert_exposures(
        self,
        infos: Sequence[ObservationInfo],
        records: Sequence[DatasetRecord],
        regions: Mapping[DataId, Polygon] | None = None,
    ) -> int:
        """Register raws; those that are there with the same pixels stay as they are.

        Other pixels under the same data ID are a ConflictError, which names both files.

        Parameters
        ----------
        infos, records
            Headers and raws, in one order; or, where raws are not there, datasets made of them.
        regions
            Where on the sky a raw lies, by its data ID, for those of which it is known.

        Returns
        -------
        int
            Number of raws that were not there.

        """
        with self.database.write() as connection:
            self._register(connection, (record.dataset_type for record in records))
            new = exposures.select_new(connection, records)
            loading.load(connection, self.type_ids, new, ())
            exposures.write_infos(connection, infos, records, regions or {})
        return len(new)

    @repeated
    def insert_patches(self, skymap: str, patches: Sequence[tuple[int, int, Polygon]]) -> None:
        """Note where the patches of a sky map lie.

        Parameters
        ----------
        skymap
            Its name.
        patches
            Tract, patch and the corners of each on the sky.
        """
        from lsstpipe.registry import spatial  # brings numpy, which most calls do without

        with self.database.write() as connection:
            spatial.write_patches(connection, skymap, patches)

    @repeated
    def insert_documents(self, documents: Mapping[str, Document]) -> None:
        """Keep the texts of configurations and environments.

        Parameters
        ----------
        documents
            Texts by the digest that quanta name.
        """
        with self.database.write() as connection:
            provenance.insert_documents(connection, documents)

    # Collections

    @repeated
    def define_chain(self, name: str, children: Sequence[str]) -> None:
        """Make a chain of collections that exist, or give it other children.

        Parameters
        ----------
        name
            Name of the chain.
        children
            In the order of the search.
        """
        with self.database.write() as connection:
            collections.define_chain(connection, name, children)

    @repeated
    def tag(self, name: str, dataset_ids: Sequence[uuid.UUID]) -> None:
        """Add datasets to a tagged collection, which is made if it is not there.

        Parameters
        ----------
        name
            Name of the collection.
        dataset_ids
            Datasets that exist.
        """
        with self.database.write() as connection:
            collections.tag(connection, name, dataset_ids)

    @repeated
    def release(self, name: str, dataset_ids: Sequence[uuid.UUID]) -> int:
        """Take datasets out of a tag or a calibration collection; see `removal.release`.

        Parameters
        ----------
        name
            Name of the collection.
        dataset_ids
            Datasets; those that it does not hold are passed over.
        """
        with self.database.write() as connection:
            return removal.release(connection, name, dataset_ids)

    @repeated
    def prune(
        self,
        dataset_ids: Sequence[uuid.UUID],
        *,
        is_held_too: bool = False,
        dry_run: bool = False,
    ) -> list[DatasetRecord]:
        """Delete datasets; see `removal.prune`.

        Parameters
        ----------
        dataset_ids
            Datasets that exist.
        is_held_too
            Whether datasets go that a tag or a calibration collection holds.
        dry_run
            Whether only to find out what would go.

        Returns
        -------
        list of DatasetRecord
            What was deleted; its files are the caller's.
        """
        with self.database.write(dry_run=dry_run) as connection:
            return removal.prune(connection, dataset_ids, is_held_too=is_held_too)

    @repeated
    def remove_run(self, name: str, *, dry_run: bool = False) -> list[DatasetRecord]:
        """Delete a run with its datasets and quanta; see `removal.remove_run`.

        Parameters
        ----------
        name
            Its name.
        dry_run
            Whether only to find out what would go.

        Returns
        -------
        list of DatasetRecord
            What was deleted; its files are the caller's.
        """
        with self.database.write(dry_run=dry_run) as connection:
            return removal.remove_run(connection, name)

    @repeated
    def freeze(self, run: str) -> None:
        """Close a run for ever: nothing in it may change.

        Parameters
        ----------
        run
            Its name.
        """
        with self.database.write() as connection:
            collections.freeze(connection, run)

    # Calibrations

    @repeated
    def certify(
        self,
        collection: str,
        dataset_ids: Sequence[uuid.UUID],
        valid_begin_mjd: float,
        valid_end_mjd: float,
        *,
        dry_run: bool = False,
    ) -> None:
        """Let datasets hold for a range of time; see `calibrations.certify`.

        Parameters
        ----------
        collection
            A calibration collection, which is made if it is not there.
        dataset_ids
            Datasets that exist.
        valid_begin_mjd, valid_end_mjd
            TAI MJD, begin included, end excluded; infinities are allowed.
        dry_run
            Whether only to find out if it can be done.
        """
        with self.database.write(dry_run=dry_run) as connection:
            span = (valid_begin_mjd, valid_end_mjd)
            calibrations.certify(connection, collection, dataset_ids, *span)

    def _register(self, connection: sa.Connection, names: Iterable[str]) -> None:
        """Make sure that dataset types have ids and indexes."""
        unknown = [name for name in dict.fromkeys(names) if name not in self.type_ids]
        if unknown:
            self.type_ids = dataset_types.register(connection, unknown)
