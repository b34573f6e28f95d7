"""What a registry answers: collections, calibrations, datasets, exposures, provenance."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence, Set
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar

import sqlalchemy as sa

from lsstpipe.data_model import DataId, DatasetType
from lsstpipe.datasets import DATASET_TYPES, as_dataset_type
from lsstpipe.registry import (
    calibrations,
    collections,
    exposures,
    provenance,
    search,
)
from lsstpipe.registry.calibrations import Calibration
from lsstpipe.registry.collections import Collection
from lsstpipe.registry.database import Database
from lsstpipe.registry.direct import Direct, OtherCollectionError
from lsstpipe.registry.exposures import ExposureKey, Polygon
from lsstpipe.registry.provenance import Provenance
from lsstpipe.registry.query import parse_where
from lsstpipe.registry.records import DatasetRecord
from lsstpipe.registry.rows import read_datasets
from lsstpipe.registry.tables import calibration, dataset_type, quantum

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from lsstpipe.geometry.position import Position
    from lsstpipe.image.exposure import ObservationInfo

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Self = TypeVar("Self", bound="RegistryReader")


def repeated(
    method: Callable[Concatenate[Self, Arguments], Result],
) -> Callable[Concatenate[Self, Arguments], Result]:
    """Let a method, which is one transaction, be repeated when a server fails for a while.

    Parameters
    ----------
    method
        It may be made twice: a connection can be lost after its transaction took effect.
    """

    @wraps(method)
    def call(self: Self, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return self.database.repeat(lambda: method(self, *args, **kwargs))

    return call


class RegistryReader:
    """The questions that a registry answers, each by a constant number of statements.

    Parameters
    ----------
    database
        Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.direct = Direct(database)

    # Collections

    @repeated
    def collections(self) -> list[Collection]:
        """Give every collection, by name."""
        with self.database.read() as connection:
            return collections.list_all(connection)

    @repeated
    def chains(self) -> dict[str, list[str]]:
        """Give the children of every chain, in the order of the search."""
        with self.database.read() as connection:
            return collections.list_chains(connection)

    @repeated
    def require_open(self, run: str) -> None:
        """Refuse a run that is frozen, before anything is written for it.

        Parameters
        ----------
        run
            Its name; a run that is not there yet is open.
        """
        with self.database.read() as connection:
            collections.require_open(connection, run)

    @repeated
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
        with self.database.read() as connection:
            same = search.same_data(connection, as_dataset_type(kind), data_id)
            found = calibrations.query(connection, names, same & holds)
        return found[0].dataset if found else None

    @repeated
    def query_calibrations(
        self, kind: DatasetType | str | None, names: Sequence[str]
    ) -> list[Calibration]:
        """Find all calibrations of a type, in the order of the search, then of time.

        Parameters
        ----------
        kind
            Their type; None for all types of calibrations that there are.
        names
            Collections to search, in this order.
        """
        known = [item for item in DATASET_TYPES.values() if item.is_calibration]
        kinds = known if kind is None else [as_dataset_type(kind)]
        condition = dataset_type.c.name.in_([item.name for item in kinds])
        with self.database.read() as connection:
            return calibrations.query(connection, names, condition)

    def calibrations_of(self, name: str) -> list[Calibration]:
        """Give what holds in a collection, in the order of time; nothing where there is none.

        Parameters
        ----------
        name
            Its name.
        """
        if name not in {item.name for item in self.collections()}:
            return []
        return self.query_calibrations(None, [name])

    # Search

    @repeated
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
        own = as_dataset_type(kind)
        try:
            return self.direct.find(own, data_id, names)
        except OtherCollectionError:
            with self.database.read() as connection:
                return search.find(connection, own, data_id, names)

    @repeated
    def query_datasets(
        self,
        kind: DatasetType | str | None = None,
        where: str = "",
        names: Sequence[str] | None = None,
        position: Position | None = None,
        like: DataId | None = None,
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
        position
            The part of the sky that they must touch; None for the whole sky and beyond.
        like
            Values that their data IDs must have.
        """
        with self.database.read() as connection:
            own = None if kind is None else as_dataset_type(kind)
            records = search.query(connection, own, where, names, like)
            if position is None:
                return records
            from lsstpipe.registry import spatial  # brings numpy, which most questions do without

            return spatial.select_overlapping(connection, records, position)

    @repeated
    def find_known(self, dataset_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
        """Find out which datasets are there, in the order in which they are given.

        Parameters
        ----------
        dataset_ids
            Any ids.
        """
        with self.database.read() as connection:
            known = read_datasets(connection, dataset_ids)
        return [item for item in dataset_ids if item in known]

    @repeated
    def query_starts(self) -> dict[uuid.UUID, float]:
        """Give the time (UTC MJD) when each quantum started."""
        with self.database.read() as connection:
            rows = connection.execute(sa.select(quantum.c.id, quantum.c.started_mjd))
            return {row.id: row.started_mjd for row in rows}

    @repeated
    def query_overlaps(self, skymap: str, where: str = "") -> dict[str, npt.NDArray[Any]]:
        """Find all pairs of an exposure's detector and a patch that overlap on the sky.

        Parameters
        ----------
        skymap
            Name of the sky map of the patches.
        where
            A condition over the attributes of `ObservationInfo`.

        Returns
        -------
        columns
            Instrument, exposure, detector, tract and patch of each pair, sorted by these;
            ``pyarrow.table`` and ``pandas.DataFrame`` take it as it is.
        """
        from lsstpipe.registry import spatial

        condition = parse_where(where, exposures.INFO_COLUMNS)
        with self.database.read() as connection:
            return spatial.find_overlaps(connection, skymap, condition)

    @repeated
    def query_outlines(
        self, kind: Literal["exposure", "patch"]
    ) -> dict[DataId, npt.NDArray[np.float64]]:
        """Find where all detectors of exposures, or all patches, lie; see `spatial.read_outlines`.

        Parameters
        ----------
        kind
            Which.
        """
        from lsstpipe.registry import spatial

        with self.database.read() as connection:
            return spatial.read_outlines(connection, kind)

    @repeated
    def query_exposures(
        self, observation_type: str | None = None, where: str = ""
    ) -> list[tuple[ObservationInfo, DatasetRecord]]:
        """Find exposures of which there are raws, in the order of their times.

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
        with self.database.read() as connection:
            return exposures.query(connection, condition)

    @repeated
    def query_known_exposures(
        self, keys: Set[ExposureKey]
    ) -> list[tuple[ObservationInfo, Polygon | None]]:
        """Find all detectors of exposures, with raws or without; see `exposures.query_known`.

        Parameters
        ----------
        keys
            Instruments and numbers of the exposures.
        """
        with self.database.read() as connection:
            return exposures.query_known(connection, keys)

    @repeated
    def query_patches(self, keys: Set[tuple[str, int]]) -> list[tuple[str, int, int, Polygon]]:
        """Find the patches of tracts and where they lie; see `spatial.read_patches`.

        Parameters
        ----------
        keys
            Sky maps and numbers of the tracts.
        """
        from lsstpipe.registry import spatial

        with self.database.read() as connection:
            return spatial.read_patches(connection, keys)

    # Provenance

    @repeated
    def provenance(self, dataset_id: uuid.UUID) -> Provenance:
        """Collect everything that led to a dataset, back to the raws.

        Parameters
        ----------
        dataset_id
            A dataset, kept or not.
        """
        with self.database.read() as connection:
            return provenance.trace(connection, dataset_id)

    @repeated
    def downstream(self, dataset_id: uuid.UUID) -> list[DatasetRecord]:
        """Find what was made of a dataset, directly or through others, by path.

        Parameters
        ----------
        dataset_id
            A dataset.
        """
        with self.database.read() as connection:
            return provenance.find_downstream(connection, dataset_id)
