"""A registry of every released schema opens, and says what it said."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from lsstpipe.geometry.position import parse_position
from lsstpipe.registry.migrations import read_version
from lsstpipe.registry.registry import Registry
from lsstpipe.registry.schema import SCHEMA_VERSION
from tests.registry.test_registry import dark, image, info, quantum, raw


def test_the_first_schema(tmp_path: Path) -> None:
    """The file was written by the first release; the calls that made it are repeated here."""
    path = tmp_path / "registry.sqlite3"
    old = sqlite3.connect(path)
    old.executescript((Path(__file__).parent / "schema_1.sql").read_text())
    old.close()
    made = quantum("isr", 1, (raw(1),), (image(1),))
    product = replace(image(1), quantum_id=made.id, checksum="blake2b:0123")
    other = replace(raw(2), checksum="xxh3_128:00112233445566778899aabbccddeeff")
    with Registry.open(f"sqlite:///{path}") as registry:
        with registry.database.read() as connection:
            assert read_version(connection, "it") == SCHEMA_VERSION
        assert registry.query_exposures() == [(info(1), raw(1)), (info(2), other)]
        elsewhere = image(2, path="elsewhere/2.fits")
        assert registry.query_datasets("visit_image") == [product, elsewhere]
        assert registry.find("visit_image", image(1).data_id, ["best"]) == product
        assert registry.find_calibration("dark", dark("run").data_id, 1e9, ["calibs"]) is not None
        assert registry.query_calibrations("dark", ["calibs"])[0].valid_end_mjd == math.inf
        assert registry.provenance(product.id).quanta == {made.id: made}
        here = parse_position("POINT 10 5")
        assert registry.query_datasets("raw", position=here) == [raw(1)]
        registry.load([image(3)])
        fresh = Registry.create(f"sqlite:///{tmp_path / 'fresh.sqlite3'}")
        try:
            assert _describe(registry) == _describe(fresh)
        finally:
            fresh.close()


def _affinity(kind: str) -> str:
    """Give what SQLite takes a type for (https://www.sqlite.org/datatype3.html, section 3.1)."""
    if "INT" in kind:
        return "INTEGER"
    return "TEXT" if "CHAR" in kind or "TEXT" in kind else kind


def _describe(registry: Registry) -> dict[str, object]:
    """Give tables, columns and indexes as the database knows them."""
    with registry.database.read() as connection:
        inspector = sa.inspect(connection)
        return {
            name: (
                [
                    (c["name"], _affinity(str(c["type"])), c["nullable"])
                    for c in inspector.get_columns(name)
                ],
                sorted((i["name"], i["column_names"]) for i in inspector.get_indexes(name)),
                sorted(key["referred_table"] for key in inspector.get_foreign_keys(name)),
            )
            for name in sorted(inspector.get_table_names())
        }
