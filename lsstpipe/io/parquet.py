"""Catalogues as Parquet files that describe themselves: units and meanings travel with the columns.

The name of the schema is metadata of the table; each field has the metadata ``unit``, ``doc`` and
``dtype`` (the numpy type, which fixes the length of text). The file has no time stamp: equal
catalogues give equal bytes.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lsstpipe.errors import InputFileError
from lsstpipe.image.catalog import Catalog, Column, Schema

_SCHEMA_KEY = b"lsstpipe_schema"


def write_catalog(catalog: Catalog) -> bytes:
    """Turn a catalogue into the bytes of a Parquet file.

    Parameters
    ----------
    catalog
        Any catalogue.
    """
    fields, arrays = [], []
    for column in catalog.schema.columns:
        values = catalog.columns[column.name]
        kind = values.dtype.kind
        # Arrow would store the padding of numpy's fixed-width text as characters of their own.
        array = pa.array(values.tolist(), pa.string()) if kind == "U" else pa.array(values)
        about = {"unit": column.unit, "doc": column.doc, "dtype": column.dtype}
        fields.append(pa.field(column.name, array.type, nullable=False, metadata=about))
        arrays.append(array)
    schema = pa.schema(fields, metadata={_SCHEMA_KEY: catalog.schema.name.encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=schema), sink, compression="zstd", version="2.6"
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content


def read_catalog(content: bytes, name: str, columns: tuple[str, ...] | None = None) -> Catalog:
    """Turn the bytes of a Parquet file into the catalogue that was written.

    Parameters
    ----------
    content
        Content of the file.
    name
        What error messages call it.
    columns
        The columns to read; None reads all.

    Raises
    ------
    InputFileError
        If it is not Parquet or was not written by `write_catalog`.
    """
    try:
        # Without threads: one that outlives the interpreter aborts a job that is done. And not by
        # `pq.read_table`, which loads pandas where it is installed.
        with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
            table = file.read(columns=columns and list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise InputFileError(f"{name} is not a Parquet file: {error}.") from error
    label = (table.schema.metadata or {}).get(_SCHEMA_KEY)
    if label is None:
        raise InputFileError(f"{name} is a Parquet file that does not name its lsstpipe schema.")
    about = [_column(field) for field in table.schema]
    values = {c.name: _to_numpy(table[c.name], c.dtype) for c in about}
    return Catalog(Schema(label.decode(), tuple(about)), values)


def _column(field: pa.Field) -> Column:
    about = field.metadata
    unit, doc, dtype = (about[key].decode() for key in (b"unit", b"doc", b"dtype"))
    return Column(field.name, dtype, unit, doc)


def _to_numpy(column: pa.ChunkedArray, dtype: str) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
    if np.dtype(dtype).kind == "U":
        return np.array(column.to_pylist(), dtype=dtype)
    # A copy, since arrays that share Arrow's memory are read-only.
    return np.array(column.to_numpy(), dtype=dtype)
