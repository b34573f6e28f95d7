"""The registry: what exists, where it came from, and how to find it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lsstpipe.data_model import DataId, DatasetType
from lsstpipe.datasets import DATASET_TYPES, find_dataset_type
from lsstpipe.errors import RepositoryError
from lsstpipe.registry import (
    calibrations,
    collections,
    dataset_types,
    exposures,
    loading,
    provenance,
    search,
)
from lsstpipe.registry.calibrations import Calibration
from lsstpipe.registry.collections import Collection
from lsstpipe.registry.database import Database
from lsstpipe.registry.exposures import Polygon
from lsstpipe.registry.migrations import SCHEMA_VERSION, check_version, migrate, read_version
from lsstpipe.registry.provenance import Document, Provenance
from lsstpipe.registry.query import parse_where
from lsstpipe.registry.records import DatasetRecord, QuantumRecord
from lsstpipe.registry.tables import (
    METADATA,
    calibration,
    dataset_type,
    schema_version,
)

if TYPE_CHECKING:
    from lsstpipe.image.exposure import ObservationInfo

_ANALYZE_FROM = 1000
"""Rows of one load after which the database renews the statistics of its query planner."""


class Registry:
    """Datasets, collections, calibrations, exposures and quanta in a database.

    Every method is one transaction of a constant number of statements. Make one by `create` or
    `open`; it is a context manager that closes its connections.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._type_ids: dict[str, int] = {}

    @classmethod
    def create(cls, url: str | sa.URL, *, exist_ok: bool = False) -> Registry:
        """Make the registry of a new repository.

        Parameters
        ----------
        url
            An SQLAlchemy URL, such as ``sqlite:////data/repo/registry.sqlite3``.
        exist_ok
            Whether one that is there is opened instead.

        Raises
        ------
        RepositoryError
            If there is one, or the database cannot be written.
        """
        database = Database(url)
        if exist_ok and database.is_present:
            return cls.open(url)
        registry = cls(database)
        with database.closed_on_error():
            database.prepare()
            with database.write() as connection:
                if sa.inspect(connection).has_table(schema_version.name):
                    raise RepositoryError(f"{database.name} is a registry already.")
                METADATA.create_all(connection)
                connection.execute(sa.insert(schema_version).values(version=SCHEMA_VERSION))
                registry._register(connection, DATASET_TYPES)
        return registry

    @classmethod
    def open(cls, url: str | sa.URL) -> Registry:
        """Open the registry of a repository; one of an older schema is brought up to date.

        Parameters
        ----------
        url
            An SQLAlchemy URL.

        Raises
        ------
        RepositoryError
            If there is none, or its schema is newer than this code.
        """
        database = Database(url)
        if not database.is_present:
            raise RepositoryError(
                f"There is no repository at {database.name}; `lsstpipe init` makes one."
            )
        with database.closed_on_error():
            with database.read() as connection:
                found = read_version(connection)
            check_version(found, database.name)
            if found < SCHEMA_VERSION:
                with database.write() as connection:
                    migrate(connection, read_version(connection))
        return cls(database)

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()

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

    def load(self, datasets: Sequence[DatasetRecord], quanta: Sequence[QuantumRecord] = ()) -> None:
        """Make the registry say what these records say; see `loading.load`.

        Parameters
        ----------
        datasets, quanta
            What exists and how it was made.
        """
        with self._database.write() as connection:
            self._register(connection, (record.dataset_type for record in datasets))
            loading.load(connection, self._type_ids, datasets, quanta)
            if len(datasets) + len(quanta) >= _ANALYZE_FROM:
                connection.execute(sa.text("ANALYZE"))

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
            Headers and raws, in one order.
        regions
            Where on the sky a raw lies, by its data ID, for those of which it is known.

        Returns
        -------
        int
            Number of raws that were not there.

        """
        with self._database.write() as connection:
            self._register(connection, (record.dataset_type for record in records))
            new = exposures.select_new(connection, records)
            loading.load(connection, self._type_ids, new, ())
            exposures.write_infos(connection, infos, records, regions or {})
        return len(new)

    def insert_documents(self, documents: Mapping[str, Document]) -> None:
        """Keep the texts of configurations and environments.

        Parameters
        ----------
        documents
            Texts by the digest that quanta name.
        """
        with self._database.write() as connection:
            provenance.insert_documents(connection, documents)

    # Collections

    def collections(self) -> list[Collection]:
        """Give every collection, by name."""
        with self._database.read() as connection:
            return collections.list_all(connection)

    def define_chain(self, name: str, children: Sequence[str]) -> None:
        """Make a chain of collections that exist, or give it other children.

        Parameters
        ----------
        name
            Name of the chain.
        children
            In the order of the search.
        """
        with self._database.write() as connection:
            collections.define_chain(connection, name, children)

    def tag(self, name: str, dataset_ids: Sequence[uuid.UUID]) -> None:
        """Add datasets to a tagged collection, which is made if it is not there.

        Parameters
        ----------
        name
            Name of the collection.
        dataset_ids
            Datasets that exist.
        """
        with self._database.write() as connection:
            collections.tag(connection, name, dataset_ids)

    def freeze(self, run: str) -> None:
        """Close a run for ever: nothing in it may change.

        Parameters
        ----------
        run
            Its name.
        """
        with self._database.write() as connection:
            collections.freeze(connection, run)

    def require_open(self, run: str) -> None:
        """Refuse a run that is frozen, before anything is written for it.

        Parameters
        ----------
        run
            Its name; a run that is not there yet is open.
        """
        with self._database.read() as connection:
            collections.require_open(connection, run)

    # Calibrations

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
        with self._database.write() as connection:
            span = (valid_begin_mjd, valid_end_mjd)
            calibrations.certify(connection, collection, dataset_ids, *span, dry_run=dry_run)

    def find_calibration(
        self, kind: DatasetType | str, data_id: DataId, mjd: float, names: Sequence[str]
    ) -> DatasetRecord | None:
        """Find the dataset that holds at a time.

        Parameters
        ----------
        kind
            Its type.
        data_id
            At least the dimensions of the type.
        mjd
            TAI MJD.
        names
            Collections to search, in this order.
        """
        holds = sa.and_(calibration.c.valid_begin <= mjd, calibration.c.valid_end > mjd)
        with self._database.read() as connection:
            same = search.same_data(connection, _as_type(kind), data_id)
            found = calibrations.query(connection, names, same & holds)
        return found[0].dataset if found else None

    def query_calibrations(
        self, kind: DatasetType | str, names: Sequence[str]
    ) -> list[Calibration]:
        """Find all calibrations of a type, in the order of the search, then of time.

        Parameters
        ----------
        kind
            Their type.
        names
            Collections to search, in this order.
        """
        condition = dataset_type.c.name == _as_type(kind).name
        with self._database.read() as connection:
            return calibrations.query(connection, names, condition)

    # Search

    def find(
        self, kind: DatasetType | str, data_id: DataId, names: Sequence[str]
    ) -> DatasetRecord | None:
        """Find the first dataset of a type and data ID.

        Parameters
        ----------
        kind
            Its type.
        data_id
            At least the dimensions of the type.
        names
            Collections to search, in this order.
        """
        with self._database.read() as connection:
            return search.find(connection, _as_type(kind), data_id, names)

    def query_datasets(
        self,
        kind: DatasetType | str | None = None,
        where: str = "",
        names: Sequence[str] | None = None,
    ) -> list[DatasetRecord]:
        """Find datasets by a condition; see `search.query` and `lsstpipe.registry.query`.

        Parameters
        ----------
        kind
            Their type; None for all.
        where
            Such as ``band = 'r' AND visit IN (1..20)``.
        names
            Collections to search, in this order; None for every run.
        """
        with self._database.read() as connection:
            return search.query(connection, None if kind is None else _as_type(kind), where, names)

    def query_exposures(
        self, observation_type: str | None = None, where: str = ""
    ) -> list[tuple[ObservationInfo, DatasetRecord]]:
        """Find raw exposures, in the order of their times.

        Parameters
        ----------
        observation_type
            Such as ``science``; None for all.
        where
            A condition over the attributes of `ObservationInfo`.
        """
        condition = parse_where(where, exposures.INFO_COLUMNS)
        if observation_type is not None:
            named = exposures.INFO_COLUMNS["observation_type"] == observation_type
            condition = sa.and_(condition, named)
        with self._database.read() as connection:
            return exposures.query(connection, condition)

    # Provenance

    def provenance(self, dataset_id: uuid.UUID) -> Provenance:
        """Collect everything that led to a dataset, back to the raws.

        Parameters
        ----------
        dataset_id
            A dataset, kept or not.
        """
        with self._database.read() as connection:
            return provenance.trace(connection, dataset_id)

    def downstream(self, dataset_id: uuid.UUID) -> list[DatasetRecord]:
        """Find what was made of a dataset, directly or through others, by path.

        Parameters
        ----------
        dataset_id
            A dataset.
        """
        with self._database.read() as connection:
            return provenance.find_downstream(connection, dataset_id)

    def _register(self, connection: sa.Connection, names: Iterable[str]) -> None:
        """Make sure that dataset types have ids and indexes."""
        unknown = [name for name in dict.fromkeys(names) if name not in self._type_ids]
        if unknown:
            self._type_ids = dataset_types.register(connection, unknown)


def _as_type(kind: DatasetType | str) -> DatasetType:
    return find_dataset_type(kind) if isinstance(kind, str) else kind
