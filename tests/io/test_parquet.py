"""Catalogues come back from Parquet exactly, and describe themselves to other readers."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lsstpipe.errors import InputFileError
from lsstpipe.image import columns
from lsstpipe.image.catalog import Catalog, Column, Schema
from lsstpipe.io import read, write
from lsstpipe.io.parquet import read_catalog

SCHEMA = Schema(
    "thing",
    (
        Column("thingId", "i8", "", "Unique id."),
        Column("flux", "f8", "nJy", "Flux, “measured”."),
        Column("weight", "f4", "", ""),
        Column("n", "i4", "", "A number."),
        Column("flag", "?", "", "A flag."),
        Column("band", "U6", "", "A name."),
    ),
)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    n = draw(st.integers(0, 20))
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    return Catalog(
        SCHEMA,
        {
            c.name: draw(
                st.lists(text, min_size=n, max_size=n)
                if c.dtype == "U6"
                else hnp.arrays(np.dtype(c.dtype), n)
            )
            for c in SCHEMA.columns
        },
    )


@settings(max_examples=40)
@given(catalog=catalogs())
def test_a_catalogue_comes_back_exactly(catalog: Catalog) -> None:
    content = write(catalog, "catalog")
    back = read(content, "catalog")
    assert isinstance(back, Catalog)
    assert back.schema == SCHEMA
    for column in SCHEMA.columns:
        values = back.columns[column.name]
        assert values.dtype == np.dtype(column.dtype)
        assert values.tobytes() == catalog.columns[column.name].tobytes()
        assert values.flags.writeable
    assert write(back, "catalog") == content


@pytest.mark.parametrize("schema", [columns.SOURCE, columns.OBJECT, columns.FORCED_SOURCE])
def test_the_catalogues_of_the_pipeline_keep_their_schema_without_rows(schema: Schema) -> None:
    empty = Catalog(schema, {c.name: np.empty(0, c.dtype) for c in schema.columns})
    back = read(write(empty, "catalog"), "catalog")
    assert isinstance(back, Catalog)
    assert (back.schema, len(back)) == (schema, 0)


def make_catalog() -> Catalog:
    return Catalog(
        SCHEMA,
        {"thingId": [1, 2], "flux": [1.5, np.nan], "weight": [0, 1], "n": [3, 4],
         "flag": [True, False], "band": ["r", "ü"]},
    )  # fmt: skip


def test_other_readers_find_units_and_meanings() -> None:
    table = pq.read_table(io.BytesIO(write(make_catalog(), "catalog")))
    assert table.field("flux").metadata[b"unit"] == b"nJy"
    assert table.field("flux").metadata[b"doc"].decode() == "Flux, “measured”."
    assert table.schema.metadata[b"lsstpipe_schema"] == b"thing"
    assert table["band"].to_pylist() == ["r", "ü"]


def test_some_columns_can_be_read_alone() -> None:
    part = read_catalog(write(make_catalog(), "catalog"), "a", ("band", "flux"))
    assert part.schema.names() == ("band", "flux")
    np.testing.assert_array_equal(part["flux"], [1.5, np.nan])


def test_what_is_no_catalogue_is_refused() -> None:
    content = write(make_catalog(), "catalog")
    for damaged in (content[:-1], content[: len(content) // 2], b"", b"SIMPLE  ="):
        with pytest.raises(InputFileError, match=r"^a.parquet is not a Parquet file"):
            read(damaged, "catalog", "a.parquet")
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": [1]}), sink)
    with pytest.raises(InputFileError, match="does not name its lsstpipe schema"):
        read(sink.getvalue(), "catalog", "a.parquet")
