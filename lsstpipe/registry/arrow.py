"""Datasets as a table of Arrow: for pandas, polars, DuckDB and whatever else reads it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from lsstpipe.data_model import DIMENSIONS
from lsstpipe.registry.records import DatasetRecord


def to_table(records: Sequence[DatasetRecord]) -> pa.Table:
    """Make a table of datasets, one row each.

    Parameters
    ----------
    records
        The datasets.

    Returns
    -------
    pyarrow.Table
        ``id``, ``type``, every dimension (null where a dataset has it not), ``run``, ``path``,
        ``size``, ``checksum`` and ``quantum_id``; ids are text.
    """
    dimensions = {
        name: pa.array(
            [record.data_id.get(name) for record in records],
            pa.int64() if kind is int else pa.string(),
        )
        for name, kind in DIMENSIONS.items()
    }
    quanta = [None if r.quantum_id is None else str(r.quantum_id) for r in records]
    return pa.table(
        {
            "id": pa.array([str(record.id) for record in records], pa.string()),
            "type": pa.array([record.dataset_type for record in records], pa.string()),
            **dimensions,
            "run": pa.array([record.run for record in records], pa.string()),
            "path": pa.array([record.path for record in records], pa.string()),
            "size": pa.array([record.size for record in records], pa.int64()),
            "checksum": pa.array([record.checksum for record in records], pa.string()),
            "quantum_id": pa.array(quanta, pa.string()),
        }
    )
