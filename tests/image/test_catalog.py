"""Catalogues hold what their schema says."""

import numpy as np
import pytest

from lsstpipe.image import columns
from lsstpipe.image.catalog import Catalog, Column, Schema, concatenate

PAIR = Schema("pair", (Column("a", "i8", "", "A."), Column("b", "f8", "nJy", "B.")))


def test_columns_take_the_types_and_order_of_the_schema() -> None:
    catalog = Catalog(PAIR, {"b": [1, 2], "a": [3.0, 4.0]})
    assert list(catalog.columns) == ["a", "b"]
    assert catalog["a"].dtype == np.int64
    assert catalog["b"].dtype == np.float64
    assert len(catalog) == 2


def test_missing_unknown_or_uneven_columns_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pair: missing columns \['b'\], unknown columns \['c'\]"):
        Catalog(PAIR, {"a": [1], "c": [2]})
    with pytest.raises(ValueError, match="columns differ in length"):
        Catalog(PAIR, {"a": [1], "b": [1, 2]})


def test_rows_are_selected_by_mask_and_by_number() -> None:
    catalog = Catalog(PAIR, {"a": [1, 2, 3], "b": [0.1, 0.2, 0.3]})
    assert catalog.select(np.array([True, False, True]))["a"].tolist() == [1, 3]
    assert catalog.select(np.array([2, 0]))["b"].tolist() == [0.3, 0.1]


def test_stacking_keeps_order_and_an_empty_stack_keeps_the_columns() -> None:
    one, two = Catalog(PAIR, {"a": [1], "b": [1]}), Catalog(PAIR, {"a": [2, 3], "b": [2, 3]})
    assert concatenate(PAIR, [one, two])["a"].tolist() == [1, 2, 3]
    empty = concatenate(PAIR, [])
    assert len(empty) == 0
    assert empty["b"].dtype == np.float64


@pytest.mark.parametrize(
    "schema", [s for s in vars(columns).values() if isinstance(s, Schema)], ids=lambda s: s.name
)
def test_every_column_has_a_meaning_and_a_name_of_its_own(schema: Schema) -> None:
    names = schema.names()
    assert len(set(names)) == len(names)
    for column in schema.columns:
        assert column.doc.endswith(".")
        np.dtype(column.dtype)


def test_aperture_columns_are_named_by_their_radius() -> None:
    assert columns.APERTURE_NAMES == ("ap03", "ap04p5", "ap06", "ap09", "ap12")
